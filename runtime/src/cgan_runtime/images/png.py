"""Write PNG files with 8 bits a channel, row by row (W3C, PNG specification, 2nd edition, 2003).

An imaging library would take longer to import than an image takes to generate, and would hold the
whole picture in memory.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

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


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
