"""A strict reader of IDX, the format of MNIST's files.

A file consists of two zero bytes, one byte for the type of the numbers, one byte for the number of
dimensions, each dimension as a big-endian uint32, and the numbers in big-endian order (LeCun,
Cortes & Burges, "The MNIST database of handwritten digits").
"""

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cgan_training.errors import DatasetError

TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}
REMEDY = "copy it again, or fix the program that wrote it"


def read_images(path: Path, remedy: str = REMEDY) -> Tensor:
    """Return the images of an idx3-ubyte file, uint8 [n, 1, height, width]; see read_idx()."""
    return read_idx(path, "uint8", 3, remedy).unsqueeze(1)


def read_labels(path: Path, remedy: str = REMEDY) -> Tensor:
    """Return the labels of an idx1-ubyte file, int64 [n]; see read_idx()."""
    return read_idx(path, "uint8", 1, remedy).long()


def read_idx(path: Path, dtype: str, dimensions: int, remedy: str = REMEDY) -> Tensor:
    """Read an IDX file, which is gzipped if its name ends in .gz.

    Args:
        path: the file.
        dtype: the expected type of its numbers, a value of TYPES.
        dimensions: the expected number of dimensions.
        remedy: the advice at the end of error messages.

    Returns:
        A tensor of that dtype and of the file's shape; no dimension is 0.

    Raises:
        DatasetError: the file cannot be read, is damaged, empty, or has another type or shape.
    """
    content = _read_bytes(path, remedy)
    size = len(content)
    if size >= 4 and content[:2] != b"\0\0":
        begin = content[:4].hex(" ")
        raise DatasetError(f"{path} is not an IDX file: it begins with {begin}; {remedy}")
    if size < 4 or size < 4 + 4 * content[3]:
        raise DatasetError(f"{path} has {size} bytes, fewer than an IDX file's header; {remedy}")
    actual_dtype = TYPES.get(content[2], f"type {content[2]}")
    if actual_dtype != dtype or content[3] != dimensions:
        raise DatasetError(
            f"{path} holds {actual_dtype} numbers in {content[3]} dimensions, expected {dtype} "
            f"numbers in {dimensions}; {remedy}"
        )
    stored = np.dtype(dtype).newbyteorder(">")
    shape = np.frombuffer(content, ">u4", dimensions, offset=4).tolist()
    header = 4 + 4 * dimensions  # bytes
    expected_size = header + math.prod(shape) * stored.itemsize
    if size != expected_size:
        raise DatasetError(
            f"{path} has {size:,} bytes, but its header declares {expected_size:,} "
            f"({format_shape(shape)} numbers); {remedy}"
        )
    if 0 in shape:
        raise DatasetError(f"{path} is empty: it holds {format_shape(shape)} numbers; {remedy}")
    numbers = np.frombuffer(content, stored, offset=header).reshape(shape)
    return torch.from_numpy(numbers.astype(dtype))  # a writable copy


def format_shape(shape: Sequence[int]) -> str:
    """Return a shape as messages write it, such as 60,000 x 28 x 28."""
    return " x ".join(f"{size:,}" for size in shape)


def _read_bytes(path: Path, remedy: str) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is not gzip data, or is damaged ({error}); {remedy}") from error
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}; check its permissions"
        raise DatasetError(message) from error
