"""Write 8-bit grayscale PNG files row by row (W3C, PNG specification, second edition, 2003).

An imaging library would take longer to import than an image takes to generate, and would hold the
whole picture in memory.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAYSCALE, BIT_DEPTH, NO_FILTER = 0, 8, 0


def encode_png(
    bands: Iterable[NDArray[np.uint8]], height: int, width: int, text: Mapping[str, str]
) -> Iterator[bytes]:
    """Yield the parts of a PNG file of height x width pixels, 1 to 2**31 - 1 each.

    The bands, uint8 [rows, width] each, follow each other from top to bottom. The text is metadata,
    whose keywords have 1 to 79 Latin-1 characters.
    """
    header = struct.pack(">IIBBBBB", width, height, BIT_DEPTH, GRAYSCALE, 0, 0, 0)
    yield SIGNATURE + _chunk(b"IHDR", header)
    for keyword, value in text.items():  # uncompressed UTF-8 (section 11.3.4.5)
        yield _chunk(b"iTXt", keyword.encode("latin-1") + b"\0" * 5 + value.encode())
    compressor = zlib.compressobj()
    for band in bands:
        rows = np.full((len(band), 1 + width), NO_FILTER, np.uint8)  # a row begins with its filter
        rows[:, 1:] = band
        if compressed := compressor.compress(rows.tobytes()):
            yield _chunk(b"IDAT", compressed)
    yield _chunk(b"IDAT", compressor.flush()) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
