"""PNG files, row by row: eight-bit grey, the simplest there is (W3C 2003, section 11.2).

An imaging library would cost each start more than the digit does, and hold a picture whole.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, DEPTH, NO_FILTER = 0, 8, 0


def encode_png(
    bands: Iterable[NDArray[np.uint8]], height: int, width: int, text: Mapping[str, str]
) -> Iterator[bytes]:
    """Yield a PNG, piece by piece.

    Args:
        bands: the picture's rows from top to bottom, uint8 [rows, width] each.
        height: of them all together, in pixels, 1 to 2**31 - 1.
        width: in pixels, likewise.
        text: recorded in the file: keywords of 1 to 79 Latin letters, and what they say.
    """
    header = struct.pack(">IIBBBBB", width, height, DEPTH, GREY, 0, 0, 0)
    yield SIGNATURE + _chunk(b"IHDR", header)
    for keyword, words in text.items():  # UTF-8, not compressed (section 11.3.4.5)
        yield _chunk(b"iTXt", keyword.encode("latin-1") + b"\0" * 5 + words.encode())
    packer = zlib.compressobj()
    for band in bands:
        rows = np.full((len(band), 1 + width), NO_FILTER, np.uint8)  # each begins with its filter
        rows[:, 1:] = band
        if packed := packer.compress(rows.tobytes()):
            yield _chunk(b"IDAT", packed)
    yield _chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
