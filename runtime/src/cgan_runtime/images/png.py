"""Write PNG and animated PNG files with 8 bits per channel (W3C, PNG, third edition, 2025).

Importing an imaging library would take longer than generating an image, and the library would hold
the whole file in memory.
"""

import itertools
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
COLOR_TYPES = {1: 0, 3: 2}  # PNG's codes of grayscale and RGB, by number of channels
FRAME_MS, END_MS = 60, 600  # duration of an animation's frame, and of its first and last frame
# PNG's codes for endless repetition, for leaving a frame on the canvas at its end (dispose_op), and
# for replacing the pixels below a frame (blend_op).
FOREVER, KEEP_FRAME, REPLACE_FRAME = 0, 0, 0


def encode_png(
    bands: Iterable[NDArray[np.uint8]], shape: tuple[int, ...], metadata: Mapping[str, str]
) -> Iterator[bytes]:
    """Yield the parts of a PNG file.

    Args:
        bands: horizontal bands from top to bottom, each uint8 [rows, width, channels].
        shape: (height, width, channels) of the file; height and width are 1 to 2**31 - 1, channels
            1 for gray or 3 for RGB.
        metadata: text by keyword; keywords have 1 to 79 Latin-1 characters.
    """
    yield _head(shape, metadata)
    compressor = zlib.compressobj()
    for band in bands:
        if compressed := compressor.compress(_filtered(band)):
            yield _chunk(b"IDAT", compressed)
    yield _chunk(b"IDAT", compressor.flush()) + _chunk(b"IEND", b"")


def encode_animation(
    frames: Iterable[NDArray[np.uint8]],
    count: int,
    shape: tuple[int, ...],
    metadata: Mapping[str, str],
) -> Iterator[bytes]:
    """Yield the parts of an animated PNG, which repeats forever.

    Programs without support for animations show the first frame.

    Args:
        frames: frames, each uint8 [height, width, channels].
        count: number of frames, 1 to 2**30.
        shape: (height, width, channels), as for encode_png().
        metadata: as for encode_png().
    """
    yield _head(shape, metadata) + _chunk(b"acTL", struct.pack(">II", count, FOREVER))
    sequence = itertools.count()  # the chunks fcTL and fdAT are numbered together
    for number, frame in enumerate(frames):
        duration = END_MS if number in (0, count - 1) else FRAME_MS
        size_and_offset = (shape[1], shape[0], 0, 0)
        control = (*size_and_offset, duration, 1000, KEEP_FRAME, REPLACE_FRAME)
        yield _chunk(b"fcTL", struct.pack(">IIIIIHHBB", next(sequence), *control))
        content = zlib.compress(_filtered(frame))
        if number == 0:
            yield _chunk(b"IDAT", content)
        else:
            yield _chunk(b"fdAT", struct.pack(">I", next(sequence)) + content)
    yield _chunk(b"IEND", b"")


def png(images: NDArray[np.uint8], columns: int | None = None, scale: int = 1) -> bytes:
    """Return a PNG file that shows images as a grid.

    Args:
        images: uint8 [n, channels, height, width], one or more; channels 1 (gray) or 3 (RGB).
        columns: images per row; None makes the grid about square.
        scale: factor by which each pixel is enlarged in both directions.

    Raises:
        InputError: the images have an unexpected type or shape, or columns or scale is less than 1.
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
    sheet = grid(array, columns, scale)
    return b"".join(encode_png([sheet], sheet.shape, {}))


def _head(shape: tuple[int, ...], metadata: Mapping[str, str]) -> bytes:
    """Return the signature, the header and the metadata of a file."""
    height, width, channels = shape
    header = struct.pack(">IIBBBBB", width, height, BIT_DEPTH, COLOR_TYPES[channels], 0, 0, 0)
    text_chunks = (  # without compression
        _chunk(b"iTXt", keyword.encode("latin-1") + b"\0" * 5 + value.encode())
        for keyword, value in metadata.items()
    )
    return SIGNATURE + _chunk(b"IHDR", header) + b"".join(text_chunks)


def _filtered(band: NDArray[np.uint8]) -> bytes:
    """Return the rows of a band, each with the code of its filter before its pixels."""
    rows = np.full((len(band), 1 + band[0].size), NO_FILTER, np.uint8)
    rows[:, 1:] = band.reshape(len(band), -1)
    return rows.tobytes()


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
