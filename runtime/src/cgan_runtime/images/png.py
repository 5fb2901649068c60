"""Write PNG files with 8 bits a channel, row by row (W3C, PNG specification, 2nd edition, 2003).

An imaging library would take longer to import than an image takes to generate, and would hold the
whole picture in memory.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.errors import InputError
from cgan_runtime.images.layout import grid

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BIT_DEPTH, NO_FILTER = 8, 0
COLOR_TYPES = {1: 0, 3: 2}  # by number of channels: grayscale, RGB


def encode_png(
    bands: Iterable[NDArray[np.uint8]], shape: tuple[int, ...], text: Mapping[str, str]
) -> Iterator[bytes]:
    """Yield the parts of a PNG file.

    Args:
        bands: uint8 [rows, width, channels] each; they follow each other from top to bottom.
        shape: (height, width, channels) of all bands together; height and width are 1 to
            2**31 - 1, channels 1 for gray or 3 for RGB.
        text: metadata, whose keywords have 1 to 79 Latin-1 characters.
    """
    height, width, channels = shape
    header = struct.pack(">IIBBBBB", width, height, BIT_DEPTH, COLOR_TYPES[channels], 0, 0, 0)
    yield SIGNATURE + _chunk(b"IHDR", header)
    for keyword, value in text.items():  # uncompressed UTF-8 (section 11.3.4.5)
        yield _chunk(b"iTXt", keyword.encode("latin-1") + b"\0" * 5 + value.encode())
    compressor = zlib.compressobj()
    for band in bands:
        # A row begins with its filter.
        rows = np.full((len(band), 1 + width * channels), NO_FILTER, np.uint8)
        rows[:, 1:] = band.reshape(len(band), -1)
        if compressed := compressor.compress(rows.tobytes()):
            yield _chunk(b"IDAT", compressed)
    yield _chunk(b"IDAT", compressor.flush()) + _chunk(b"IEND", b"")


def png(images: NDArray[np.uint8], columns: int | None = None, scale: int = 1) -> bytes:
    """Return a PNG file that shows images as a grid.

    Args:
        images: uint8 [n, channels, height, width], one or more; channels 1 (gray) or 3 (RGB).
        columns: images per row; None makes the grid about square.
        scale: factor by which each pixel is enlarged in both directions.

    Raises:
        InputError: the images have another type or shape, or columns or scale is less than 1.
    """
    array = np.asarray(images)
    is_image = array.dtype == np.uint8 and array.ndim == 4 and array.shape[1] in COLOR_TYPES
    if not is_image or array.size == 0:
        raise InputError(
            f"images have dtype {array.dtype} and shape {list(array.shape)}; give uint8 "
            "[n, 1 or 3, height, width] with one image or more"
        )
    columns = math.ceil(len(array) ** 0.5) if columns is None else columns
    if columns < 1 or scale < 1:
        raise InputError(f"columns is {columns} and scale {scale}; give 1 or more")
    page = grid(array, columns, scale)
    return b"".join(encode_png([page], page.shape, {}))


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
