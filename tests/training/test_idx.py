import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from cgan_training.data.idx import check_labels, read_idx, read_images, read_labels
from cgan_training.errors import DatasetError


def idx(shape: Sequence[int], content: bytes, kind: int = 8) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape) + content


IMAGES = idx((2, 2, 3), bytes(range(12)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some-idx"


def error_of(path: Path, dtype: str = "uint8", dimensions: int = 3) -> str:
    """Return the one line that the file is refused with."""
    with pytest.raises(DatasetError) as caught:
        read_idx(path, dtype, dimensions, remedy="do this")
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message.replace(str(path), "FILE")


def test_images(path: Path) -> None:
    path.write_bytes(IMAGES)
    images = read_images(path)
    assert images.dtype == torch.uint8
    assert images.tolist() == [[[[0, 1, 2], [3, 4, 5]]], [[[6, 7, 8], [9, 10, 11]]]]
    images += 1  # they are the reader's own


def test_labels(path: Path) -> None:
    path.write_bytes(idx((3,), bytes([0, 255, 7])))
    labels = read_labels(path)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [0, 255, 7]


def test_numbers_of_four_bytes_are_big_endian(path: Path) -> None:
    path.write_bytes(idx((2, 2), struct.pack(">4i", 1, -1, 2**31 - 1, 65536), kind=12))
    numbers = read_idx(path, "int32", 2)
    assert numbers.dtype == torch.int32
    assert numbers.tolist() == [[1, -1], [2**31 - 1, 65536]]


def test_a_gzipped_file(tmp_path: Path) -> None:
    path = tmp_path / "some-idx.gz"
    path.write_bytes(gzip.compress(IMAGES))
    assert read_images(path).shape == (2, 1, 2, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "FILE has 0 bytes, fewer than an IDX file's header; do this"),
        (b"\0\0", "FILE has 2 bytes, fewer than an IDX file's header; do this"),
        (IMAGES[:15], "FILE has 15 bytes, fewer than an IDX file's header; do this"),
        (b"\x89PNG" + bytes(20), "FILE is not an IDX file: it begins with 89 50 4e 47; do this"),
        (gzip.compress(IMAGES, mtime=0), "FILE is not an IDX file: it begins with 1f 8b"),
        (
            IMAGES[:-1],
            "FILE has 27 bytes where its header promises 28 (2 x 2 x 3 numbers); do this",
        ),
        (IMAGES + b"\0", "FILE has 29 bytes where its header promises 28 (2 x 2 x 3 numbers)"),
        (IMAGES[:16], "FILE has 16 bytes where its header promises 28 "),
        (
            idx((2**32 - 1,) * 3, b"12"),
            "FILE has 18 bytes where its header promises 79,228,162,458,924,105,385,300,197,391 ",
        ),
        (idx((0, 28, 28), b""), "FILE is empty: it holds 0 x 28 x 28 numbers; do this"),
        (idx((3, 0, 28), b""), "FILE is empty: it holds 3 x 0 x 28 numbers; do this"),
        (
            idx((3,), b"abc"),
            "FILE holds uint8 numbers in 1 dimensions where uint8 numbers in 3 are wanted; do this",
        ),
        (idx((1, 1, 1), bytes(4), kind=13), "FILE holds float32 numbers in 3 dimensions where"),
        (idx((1, 1, 1), b"a", kind=77), "FILE holds type 77 numbers in 3 dimensions where"),
        (idx((), b"a"), "FILE holds uint8 numbers in 0 dimensions"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    assert error_of(path).startswith(message)


def test_a_file_cut_short_anywhere(path: Path) -> None:
    for size in range(len(IMAGES)):
        path.write_bytes(IMAGES[:size])
        assert f"has {size} bytes" in error_of(path)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(IMAGES)[:-9], gzip.compress(IMAGES)[:20], b"", b"plain", b"\x1f\x8b\x08" * 9],
    ids=["truncated", "half", "empty", "no gzip", "damaged"],
)
def test_a_broken_gzip_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some-idx.gz"
    path.write_bytes(content)
    error = error_of(path)
    assert error.endswith("; do this")
    assert "FILE is not gzip data, or is damaged (" in error or "FILE has 0 bytes" in error


def test_gzip_data_of_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "some-idx.gz"
    content = bytearray(gzip.compress(bytes(range(256)) * 9))
    content[30] ^= 255
    path.write_bytes(content)
    assert "FILE is not gzip data, or is damaged" in error_of(path)


def test_a_file_that_cannot_be_read(path: Path) -> None:
    path.mkdir()
    assert error_of(path) == "cannot read FILE: Is a directory; check its rights"


@pytest.mark.parametrize(("label", "classes"), [(10, 10), (-1, 10), (1, 1)])
def test_a_label_beyond_the_classes(path: Path, label: int, classes: int) -> None:
    with pytest.raises(DatasetError, match=f"some-idx holds the label {label} where {classes} "):
        check_labels(torch.tensor([0, label, 0]), classes, path)
    check_labels(torch.tensor([0, classes - 1]), classes, path)
