"""IDX, the format of MNIST's files, read strictly.

Two zero bytes; a byte for the type of the numbers; a byte for how many dimensions there are; the
dimensions, each a big-endian uint32; then the numbers, big-endian, and nothing after them (LeCun,
Cortes & Burges, "The MNIST database of handwritten digits").
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cgan_training.errors import DatasetError

TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}
REMEDY = "copy it again, or correct what wrote it"


def read_images(path: Path, remedy: str = REMEDY) -> Tensor:
    """Return the images of an idx3-ubyte file, uint8 [n, 1, height, width]; see read_idx."""
    return read_idx(path, "uint8", 3, remedy).unsqueeze(1)


def read_labels(path: Path, remedy: str = REMEDY) -> Tensor:
    """Return the labels of an idx1-ubyte file, int64 [n]; see read_idx."""
    return read_idx(path, "uint8", 1, remedy).long()


def read_idx(path: Path, dtype: str, dimensions: int, remedy: str = REMEDY) -> Tensor:
    """Read an IDX file, gzipped if its name ends in .gz.

    Args:
        path: of the file.
        dtype: what its numbers must be, one of TYPES.
        dimensions: how many it must have.
        remedy: what to do about a file that is wrong, as messages end.

    Returns:
        A tensor of that dtype and of the file's shape; no dimension is 0.

    Raises:
        DatasetError: names the file, what is wrong with it and what to do.
    """
    content = _read(path, remedy)
    if len(content) >= 4 and content[:2] != b"\0\0":
        raise DatasetError(
            f"{path} is not an IDX file: it begins with {content[:4].hex(' ')}; {remedy}"
        )
    header = 4 + 4 * content[3] if len(content) >= 4 else 4  # bytes
    if len(content) < header:
        raise DatasetError(
            f"{path} has {len(content)} bytes, fewer than an IDX file's header; {remedy}"
        )
    found = TYPES.get(content[2], f"type {content[2]}")
    if found != dtype or content[3] != dimensions:
        raise DatasetError(
            f"{path} holds {found} numbers in {content[3]} dimensions where {dtype} numbers in "
            f"{dimensions} are wanted; {remedy}"
        )
    stored = np.dtype(dtype).newbyteorder(">")
    shape = [int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4)]
    expected = header + math.prod(shape) * stored.itemsize
    if len(content) != expected:
        raise DatasetError(
            f"{path} has {len(content):,} bytes where its header promises {expected:,} "
            f"({in_words(shape)} numbers); {remedy}"
        )
    if 0 in shape:
        raise DatasetError(f"{path} is empty: it holds {in_words(shape)} numbers; {remedy}")
    numbers = np.frombuffer(content, stored, offset=header).reshape(shape)
    return torch.from_numpy(numbers.astype(dtype))  # a copy that torch may write to


def check_labels(labels: Tensor, classes: int, path: Path, remedy: str = REMEDY) -> None:
    """Refuse labels that are not 0 <= label < classes.

    Raises:
        DatasetError: names the file that they came from.
    """
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise DatasetError(
            f"{path} holds the label {int(wrong[0])} where {classes} classes allow 0 to "
            f"{classes - 1}; {remedy}"
        )


def in_words(shape: list[int]) -> str:
    """Return a shape as messages write it, such as 60,000 x 28 x 28."""
    return " x ".join(f"{size:,}" for size in shape)


def _read(path: Path, remedy: str) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                return file.read()
        return path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is not gzip data, or is damaged ({error}); {remedy}") from error
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; check its rights") from error
