"""Images as bytes of a file, and as blocks on a terminal."""

import struct
import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
INKED = 128  # from this grey on a block is drawn


def grid(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Lay images out row by row.

    Args:
        images: uint8 [n, 1, height, width].
        columns: images a row; the last row is filled up with background.

    Returns:
        uint8 [rows * height, columns * width].
    """
    count, _, height, width = images.shape
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width), np.uint8)
    cells[:count] = images[:, 0]
    page = cells.reshape(rows, columns, height, width).swapaxes(1, 2)  # [rows, h, columns, w]
    return np.ascontiguousarray(page).reshape(rows * height, columns * width)


def to_png(images: NDArray[np.uint8], columns: int, scale: int = 1) -> bytes:
    """Return a grey PNG of the grid of images, each pixel drawn scale x scale large.

    Eight-bit grey is the simplest PNG there is (W3C 2003, section 11.2); an imaging library would
    cost each start more than the digit does.
    """
    page = grid(images, columns).repeat(scale, axis=0).repeat(scale, axis=1)
    height, width = page.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # each begins with its filter: 0, none
    rows[:, 1:] = page
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits of grey, plain
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def to_npy(images: NDArray[np.uint8]) -> bytes:
    """Return a .npy file of the array as it is, uint8 [n, 1, height, width]."""
    buffer = BytesIO()
    np.save(buffer, images, allow_pickle=False)
    return buffer.getvalue()


def to_blocks(images: NDArray[np.uint8], columns: int, *, ascii_only: bool = False) -> str:
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
