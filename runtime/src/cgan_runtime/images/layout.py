"""Images laid out as a page, and as blocks on a terminal."""

import numpy as np
from numpy.typing import NDArray

INKED = 128  # from this grey on a block is drawn


def grid(images: NDArray[np.uint8], columns: int, scale: int = 1) -> NDArray[np.uint8]:
    """Lay images out row by row.

    Args:
        images: uint8 [n, 1, height, width].
        columns: images a row; the last row is filled up with background.
        scale: how many pixels wide and high each pixel becomes.

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
    """Draw the grid of images with half-block characters, two rows of pixels a line.

    Args:
        images: uint8 [n, 1, height, width].
        columns: images a row.
        ascii_only: for terminals that cannot show blocks.

    Returns:
        Lines of text, columns * width characters each at most.
    """
    inked = grid(images, columns) >= INKED
    if len(inked) % 2:
        inked = np.pad(inked, ((0, 1), (0, 0)))
    glyphs = np.array(list(" '.:") if ascii_only else list(" ▀▄█"))
    lines = glyphs[inked[::2] + 2 * inked[1::2]]  # upper half, lower half
    text = ["".join(line).rstrip() for line in lines]
    return "\n".join(_without_empty_edges(text))


def _without_empty_edges(lines: list[str]) -> list[str]:
    inked = [number for number, line in enumerate(lines) if line]
    return lines[inked[0] : inked[-1] + 1] if inked else []
