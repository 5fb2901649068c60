"""A strict reader of IDX, the format of MNIST's files.

A file consists of two zero bytes, one byte for the type of the numbers, one byte for the number of
dimensions, each dimension as a big-endian uint32, and the numbers in big-endian order (LeCun,
Cortes & Burges, "The MNIST database of handwritten digits").
"""

import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from cgan_training.errors import DatasetError
from cgan_training.input_files import Readable, open_input, read_up_to

TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}
MAX_DIMENSIONS = 4
ExpectedShape: TypeAlias = Sequence[int | None]
REMEDY = "copy it again, or fix the program that wrote it"
MAX_ARRAY_BYTES = 2**32  # largest size of the numbers in a file, which are read into memory
GZIP_MARGIN = 2**20  # bytes that a gzip file may have in addition to its content


class EmptyFileError(DatasetError):
    """An IDX file is valid, but holds no numbers."""


def find_idx(folder: Path, *names: str) -> list[Path]:
    """Return the existing files that have one of these names, such as train-labels-idx1-ubyte.

    A name may also be spelled train-labels.idx1-ubyte, and each spelling may end in .gz.
    """
    spellings = [text for name in names for text in (name, name.replace("-idx", ".idx"))]
    paths = (folder / f"{text}{suffix}" for suffix in ("", ".gz") for text in spellings)
    return [path for path in paths if path.exists()]


def read_equal_files(
    paths: Sequence[Path],
    dtype: str | None = None,
    shape: ExpectedShape | None = None,
    remedy: str = REMEDY,
) -> Tensor:
    """Read files that must hold equal numbers, such as a file and its gzipped copy.

    Raises:
        DatasetError: two files differ, or read_idx() cannot read one of them.
    """
    numbers = read_idx(paths[0], dtype, shape, remedy)
    for path in paths[1:]:
        if not torch.equal(numbers, read_idx(path, dtype, shape, remedy)):
            raise DatasetError(
                f"{paths[0]} and {path} should be equal, but differ; delete the outdated file, and "
                "the images or labels file that belongs to it"
            )
    return numbers


def read_idx(
    path: Path, dtype: str | None = None, shape: ExpectedShape | None = None, remedy: str = REMEDY
) -> Tensor:
    """Read an IDX file, which is gzipped if its name ends in .gz.

    At most one byte more than the header declares is read, so a larger file cannot exhaust memory.

    Args:
        path: the file.
        dtype: the expected type of its numbers, a value of TYPES; None allows every type.
        shape: the expected size of each dimension. None for a dimension allows any size; None for
            the whole argument allows any shape of at most MAX_DIMENSIONS.
        remedy: the advice at the end of error messages.

    Returns:
        A tensor of the file's dtype and shape; no dimension is 0.

    Raises:
        EmptyFileError: a dimension is 0.
        DatasetError: the file cannot be read, is damaged, too large, or has another type or shape.
    """
    with _open(path, remedy) as (stream, file):
        actual_dtype, actual_shape = _read_header(stream, path, dtype, shape, remedy)
        stored = np.dtype(actual_dtype).newbyteorder(">")
        header_size, size = 4 + 4 * len(actual_shape), math.prod(actual_shape) * stored.itemsize
        numbers = f"{_format(actual_shape)} numbers"
        declared = f"its header declares {header_size + size:,} ({numbers}); {remedy}"
        if size > MAX_ARRAY_BYTES:
            limit = f"{MAX_ARRAY_BYTES:,} bytes"
            raise DatasetError(f"{path} may have at most {limit}, but {declared}")
        file.allow(size)
        content = read_up_to(stream, size + 1)
    if len(content) != size:
        more = "more than " if len(content) > size else ""
        actual = header_size + min(len(content), size)
        raise DatasetError(f"{path} has {more}{actual:,} bytes, but {declared}")
    if 0 in actual_shape:
        raise EmptyFileError(f"{path} is empty: it holds {numbers}; {remedy}")
    array = np.frombuffer(content, stored).reshape(actual_shape)
    return torch.from_numpy(array.astype(actual_dtype, copy=False))


def read_shape(path: Path, remedy: str = REMEDY) -> list[int]:
    """Return the shape of the tensor that read_idx() returns; only the header is read."""
    with _open(path, remedy) as (stream, _):
        return _read_header(stream, path, None, None, remedy)[1]


def _read_header(
    stream: Readable, path: Path, dtype: str | None, expected: ExpectedShape | None, remedy: str
) -> tuple[str, list[int]]:
    """Return the dtype and the shape of the numbers that follow."""
    header = bytes(read_up_to(stream, 4))
    if len(header) == 4 and header[:2] != b"\0\0":
        begin = header.hex(" ")
        raise DatasetError(f"{path} is not an IDX file: it begins with {begin}; {remedy}")
    dimensions = header[3] if len(header) == 4 else 0
    sizes = bytes(read_up_to(stream, 4 * dimensions))
    if len(header) < 4 or len(sizes) < 4 * dimensions:
        size = len(header) + len(sizes)
        raise DatasetError(f"{path} has {size} bytes, fewer than its IDX header needs; {remedy}")
    actual_dtype = TYPES.get(header[2], f"type {header[2]}")
    found = f"{path} holds {actual_dtype} numbers in {dimensions} dimensions"
    if dtype is not None and expected is not None:
        if (actual_dtype, dimensions) != (dtype, len(expected)):
            numbers = f"{dtype} numbers in {len(expected)} dimensions"
            raise DatasetError(f"{found}, expected {numbers}; {remedy}")
    elif header[2] not in TYPES or not 1 <= dimensions <= MAX_DIMENSIONS:
        types = ", ".join(TYPES.values())
        raise DatasetError(
            f"{found}, expected {types} in 1 to {MAX_DIMENSIONS} dimensions; {remedy}"
        )
    shape = [int(size) for size in np.frombuffer(sizes, ">u4")]
    wanted = [
        size if size is not None else actual
        for size, actual in zip(expected or shape, shape, strict=True)
    ]
    if 0 not in shape and shape != wanted:
        raise DatasetError(
            f"{path} holds {_format(shape)} numbers, expected {_format(wanted)}; {remedy}"
        )
    return actual_dtype, shape


def _format(shape: Sequence[int]) -> str:
    return " x ".join(f"{size:,}" for size in shape)


class _LimitedFile:
    """A file that limits how many bytes are read to what its content may need.

    A gzip file can have endless members without content, or endless zeros after its last member.
    """

    def __init__(self, file: BufferedReader) -> None:
        self._file, self._remaining = file, GZIP_MARGIN

    def allow(self, size: int) -> None:
        """Allow as many bytes as gzip needs for `size` bytes of content."""
        self._remaining = size + size // 100 + GZIP_MARGIN

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes."""
        content = self._file.read(size)
        self._remaining -= len(content)
        if self._remaining < 0:
            raise gzip.BadGzipFile("it is longer than its content needs")
        return content


@contextmanager
def _open(path: Path, remedy: str) -> Iterator[tuple[Readable, _LimitedFile]]:
    """Yield the uncompressed content and the file. Raise DatasetError if the file is damaged."""
    try:
        with open_input(path) as file:
            limited = _LimitedFile(file)
            is_gzip = path.suffix == ".gz"
            yield gzip.GzipFile(fileobj=cast(BinaryIO, limited)) if is_gzip else limited, limited
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is not gzip data, or is damaged ({error}); {remedy}") from error
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}; check its permissions"
        raise DatasetError(message) from error
