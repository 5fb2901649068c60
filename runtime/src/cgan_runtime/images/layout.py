"""Arrange images in a grid of pixels or of block characters."""

import numpy as np
from numpy.typing import NDArray

MIN_BLOCK_PIXEL = 128  # pixel values from here on are shown as a block character


def grid(images: NDArray[np.uint8], columns: int, scale: int = 1) -> NDArray[np.uint8]:
    """Arrange images row by row.

    Args:
        images: uint8 [n, 1, height, width].
        columns: images per row; the last row is padded with background.
        scale: factor by which each pixel is enlarged in both directions.

    Returns:
        uint8 [rows * height * scale, columns * width * scale].
    """
    count, _, height, width = images.shape
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width), np.uint8)
    cells[:count] = images[:, 0]
    page = cells.reshape(rows, columns, height, width).swapaxes(1, 2)  # [rows, h, columns, w]
    flat = np.ascontiguousarray(page).reshape(rows * height, columns * width)
    return flat if scale == 1 else flat.repeat(scale, axis=0).repeat(scale, axis=1)


def to_block_characters(
    images: NDArray[np.uint8], columns: int, *, ascii_only: bool = False
) -> str:
    """Show a grid of images as text, with one character per pair of vertically adjacent pixels.

    The lines have at most columns * width characters: half blocks, or ASCII. Empty lines at the top
    and bottom are removed.
    """
    foreground = grid(images, columns) >= MIN_BLOCK_PIXEL
    if len(foreground) % 2:
        foreground = np.pad(foreground, ((0, 1), (0, 0)))
    glyphs = np.array(list(" '.:") if ascii_only else list(" ▀▄█"))
    characters = glyphs[foreground[::2] + 2 * foreground[1::2]]  # upper half, lower half
    return "\n".join("".join(row).rstrip() for row in characters).strip("\n")
