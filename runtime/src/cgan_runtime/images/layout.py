"""Arrange images in a grid of pixels, or as block characters for a terminal."""

import math
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

MIN_BLOCK_PIXEL = 128  # block characters show pixels with at least this value
UPPER_HALF_BLOCK, RESET_COLORS = "▀", "\x1b[0m"


def grid(images: NDArray[np.uint8], columns: int, scale: int = 1) -> NDArray[np.uint8]:
    """Arrange images row by row.

    Args:
        images: uint8 [n, channels, height, width].
        columns: images per row; the last row is padded with zeros.
        scale: factor by which each pixel is enlarged in both directions.

    Returns:
        uint8 [rows * height * scale, columns * width * scale, channels].
    """
    count, channels, height, width = images.shape
    rows = math.ceil(count / columns)
    cells = np.zeros((rows * columns, channels, height, width), np.uint8)
    cells[:count] = images
    split = cells.reshape(rows, columns, channels, height, width)
    split = split.transpose(0, 3, 1, 4, 2)  # [rows, height, columns, width, channels]
    sheet = np.ascontiguousarray(split).reshape(rows * height, columns * width, channels)
    return sheet if scale == 1 else sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def shrink(images: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Replace squares of factor x factor pixels by their mean.

    Args:
        images: uint8 [n, channels, height, width]. If the factor does not divide a side, the last
            pixels are repeated.
        factor: 1 or more.

    Returns:
        uint8 [n, channels, ceil(height / factor), ceil(width / factor)].
    """
    count, channels, height, width = images.shape
    padding = [(0, 0), (0, 0), (0, -height % factor), (0, -width % factor)]
    padded = np.pad(images, padding, mode="edge")
    squares = padded.reshape(count, channels, math.ceil(height / factor), factor, -1, factor)
    return np.asarray(squares.mean(axis=(3, 5)).round(), np.uint8)


def to_block_characters(
    images: NDArray[np.uint8], columns: int, *, ascii_only: bool = False
) -> str:
    """Show a grid of images as text, with one character per pair of vertically adjacent pixels.

    A line has at most columns * width characters, either half blocks or ASCII. A pixel is shown if
    the mean of its channels is at least 128. Empty lines at the top and bottom are removed.
    """
    foreground = grid(images, columns).mean(axis=2) >= MIN_BLOCK_PIXEL
    if len(foreground) % 2:
        foreground = np.pad(foreground, ((0, 1), (0, 0)))
    glyphs = np.array(list(" '.:") if ascii_only else list(" ▀▄█"))
    characters = glyphs[foreground[::2] + 2 * foreground[1::2]]  # upper half, lower half
    return "\n".join("".join(row).rstrip() for row in characters).strip("\n")


def to_color_blocks(images: NDArray[np.uint8], columns: int) -> str:
    """Show a grid of images as text in 24-bit color (ISO 8613-6, as xterm implements it).

    A line has columns * width upper half blocks. The foreground color of a block shows a pixel, and
    the background color shows the pixel below.
    """
    sheet = grid(images, columns)
    if len(sheet) % 2:
        sheet = np.pad(sheet, ((0, 1), (0, 0), (0, 0)))
    colors = np.broadcast_to(sheet, (*sheet.shape[:2], 3))  # gray has equal red, green and blue
    pairs = np.concatenate([colors[::2], colors[1::2]], axis=2)  # [lines, width, 6]
    return "\n".join(
        "".join(
            "\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*pair) + UPPER_HALF_BLOCK * len([*run])
            for pair, run in groupby(map(tuple, line))
        )
        + RESET_COLORS
        for line in pairs.tolist()
    )
