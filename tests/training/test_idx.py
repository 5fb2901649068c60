"""Reading IDX files."""

import gzip
import os
import struct
from pathlib import Path

import pytest
import torch
from idx_files import idx

from cgan_training.data.files.idx import read_equal_files, read_idx, read_shape
from cgan_training.errors import DatasetError

ANY = (None, None, None)
IMAGES = idx((2, 2, 3), bytes(range(12)))
PACKED = gzip.compress(IMAGES, mtime=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some-idx"


def error_of(path: Path) -> str:
    """Return the message, with FILE in place of the path."""
    with pytest.raises(DatasetError) as caught:
        read_idx(path, "uint8", ANY, remedy="do this")
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message.replace(str(path), "FILE")


@pytest.mark.parametrize(("name", "content"), [("some-idx", IMAGES), ("some-idx.gz", PACKED)])
def test_images_are_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    images = read_idx(tmp_path / name, "uint8", ANY)
    assert images.dtype == torch.uint8
    assert images.tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    assert read_shape(tmp_path / name) == [2, 2, 3]
    images += 1  # the tensor is writable


def test_numbers_of_four_bytes_are_big_endian(path: Path) -> None:
    path.write_bytes(idx((2, 2), struct.pack(">4i", 1, -1, 2**31 - 1, 65536), kind=12))
    numbers = read_idx(path, "int32", (2, None))
    assert numbers.dtype == torch.int32
    assert numbers.tolist() == [[1, -1], [2**31 - 1, 65536]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG" + bytes(20), "FILE is not an IDX file: it begins with 89 50 4e 47; do this"),
        (PACKED, "FILE is not an IDX file: it begins with 1f 8b"),
        (
            IMAGES[:-1],
            "FILE has 27 bytes, but its header declares 28 (2 x 2 x 3 numbers); do this",
        ),
        (
            IMAGES + b"\0",
            "FILE has more than 28 bytes, but its header declares 28 (2 x 2 x 3 numbers); do this",
        ),
        (
            idx((2**32 - 1,) * 3, b"12"),
            "FILE may have at most 4,294,967,296 bytes, but its header declares 79,228,162,458,",
        ),
        (idx((0, 28, 28), b""), "FILE is empty: it holds 0 x 28 x 28 numbers; do this"),
        (idx((3, 0, 28), b""), "FILE is empty: it holds 3 x 0 x 28 numbers; do this"),
        (
            idx((3,), b"abc"),
            "FILE holds uint8 numbers in 1 dimensions, expected uint8 numbers in 3 dimensions; do",
        ),
        (idx((1, 1, 1), bytes(4), kind=13), "FILE holds float32 numbers in 3 dimensions, expect"),
        (idx((1, 1, 1), b"a", kind=77), "FILE holds type 77 numbers in 3 dimensions, expected"),
        (idx((), b"a"), "FILE holds uint8 numbers in 0 dimensions"),
    ],
)
def test_an_invalid_file_is_rejected(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    assert error_of(path).startswith(message)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_of_another_shape_is_rejected_by_its_header(path: Path, suffix: str) -> None:
    path = path.with_name(f"some-idx{suffix}")
    content = idx((2**30, 2, 3), b"")
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DatasetError) as caught:
        read_idx(path, "uint8", (2, None, 3))
    message = f"{path} holds 1,073,741,824 x 2 x 3 numbers, expected 2 x 2 x 3; copy it again"
    assert str(caught.value).startswith(message)


def test_a_truncated_file_is_rejected(path: Path) -> None:
    for size in range(len(IMAGES)):
        path.write_bytes(IMAGES[:size])
        reason = "fewer than its IDX header needs" if size < 16 else "but its header declares 28"
        assert error_of(path).startswith(f"FILE has {size} bytes, {reason}")


@pytest.mark.parametrize(
    "content",
    [PACKED[:-9], PACKED[:20], b"plain", b"\x1f\x8b\x08" * 9, PACKED[:-8] + bytes(8)],
    ids=["truncated", "half", "not gzip", "damaged", "wrong checksum"],
)
def test_a_damaged_gzip_file_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some-idx.gz"
    path.write_bytes(content)
    error = error_of(path)
    assert error.startswith("FILE is not gzip data, or is damaged (")
    assert error.endswith("; do this")


MEMBER = gzip.compress(b"", mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PACKED + gzip.compress(bytes(2**26)), "FILE has more than 28 bytes, but its header decl"),
        (PACKED + b"garbage", "FILE is not gzip data, or is damaged (Not a gzipped file"),
        (PACKED + bytes(2**21), "FILE is not gzip data, or is damaged (it is longer than its con"),
        (PACKED + MEMBER * 2**17, "FILE is not gzip data, or is damaged (it is longer than its c"),
        (b"\x1f\x8b\x08\x08" + b"x" * 2**21, "FILE is not gzip data, or is damaged (it is longer"),
    ],
    ids=["bomb", "garbage", "zeros", "empty members", "long name"],
)
def test_a_gzip_file_is_read_as_far_as_its_header_declares(
    tmp_path: Path, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some-idx.gz"
    path.write_bytes(content)
    sizes: list[int] = []
    read = gzip.GzipFile.read

    def read_and_count(file: gzip.GzipFile, size: int | None = -1) -> bytes:
        content = read(file, size)
        sizes.append(len(content))
        return content

    monkeypatch.setattr(gzip.GzipFile, "read", read_and_count)
    assert error_of(path).startswith(message)
    assert sum(sizes) <= len(IMAGES) + 1


def test_a_gzip_file_of_several_members_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some-idx.gz"
    path.write_bytes(gzip.compress(IMAGES[:9]) + MEMBER + gzip.compress(IMAGES[9:]) + bytes(512))
    assert read_idx(path, "uint8", ANY).numel() == 12


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_endless_file_is_not_read_to_its_end(path: Path, suffix: str) -> None:
    path = path.with_name(f"some-idx{suffix}")
    path.write_bytes(PACKED if suffix else IMAGES)
    os.truncate(path, 2**40)
    message = "is not gzip data" if suffix else "has more than 28 bytes"
    assert error_of(path).startswith(f"FILE {message}")
    path.unlink()
    os.mkfifo(path)  # nothing writes to it
    assert error_of(path).startswith("FILE has 0 bytes")
    path.unlink()
    path.symlink_to("/dev/zero")
    assert error_of(path).startswith("FILE is not gzip data" if suffix else "FILE holds type 0")


@pytest.mark.parametrize("other", ["some-idx.gz", "other-idx"])
def test_two_files_of_a_name_must_be_equal(path: Path, other: str) -> None:
    path.write_bytes(IMAGES)
    twin = path.with_name(other)
    twin.write_bytes(PACKED if other.endswith(".gz") else IMAGES)
    assert torch.equal(read_equal_files([path, twin], "uint8", ANY), read_idx(path, "uint8", ANY))
    path.write_bytes(IMAGES[:-1] + b"\0")
    message = f"{path} and {twin} should be equal, but differ; delete the outdated file"
    with pytest.raises(DatasetError, match=message):
        read_equal_files([path, twin], "uint8", ANY)


def test_an_unreadable_file_is_named(path: Path) -> None:
    path.mkdir()
    assert error_of(path) == "cannot read FILE: Is a directory; check its permissions"
