"""What an archive may contain besides its pickle: entries, sizes and bytes around them."""

import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from archives import VALUES, WEIGHTS, archive_of, entries_of, error_of, rewrite_archive
from torch import Tensor

from cgan_training import archive
from cgan_training.archive import ArchiveError, load_archive


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "values.pt"
    torch.save(VALUES, file)
    return file


def is_equal(actual: Any, expected: Any) -> bool:
    if isinstance(expected, Tensor):
        return torch.equal(actual, expected) and actual.stride() == expected.stride()
    if isinstance(expected, dict):
        return [*actual] == [*expected] and all(is_equal(actual[k], expected[k]) for k in expected)
    return type(actual) is type(expected) and bool(actual == expected)


def test_saved_values_are_loaded(path: Path) -> None:
    assert is_equal(load_archive(path), VALUES)


def test_a_missing_file_raises_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_archive(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError):
        load_archive(tmp_path)


def test_a_flipped_bit_is_detected_or_changes_no_value(path: Path) -> None:
    """An archive has padding bytes, which do not matter; the bytes of a weight do."""
    content = path.read_bytes()
    start = content.index(WEIGHTS)
    weights = range(start, start + len(WEIGHTS))
    for offset in (*range(0, len(content), 13), *weights):
        changed = bytearray(content)
        changed[offset] ^= 1 << offset % 8
        path.write_bytes(changed)
        if offset in weights:
            assert "is damaged" in error_of(path)
        else:
            with suppress(ArchiveError):
                assert is_equal(load_archive(path), VALUES)


def test_a_compressed_archive_is_rejected(path: Path) -> None:
    rewrite_archive(path, {"data/0": bytes(2**20)}, compression=zipfile.ZIP_DEFLATED)
    assert error_of(path) == "it is compressed"


def test_overlapping_entries_are_rejected(path: Path) -> None:
    """A directory that lists the same bytes many times is a bomb without compression."""
    with zipfile.ZipFile(path) as archive:
        entry = max(archive.infolist(), key=lambda each: each.file_size)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(5000):
            copy = zipfile.ZipInfo(f"values/data/{number + 100}")
            copy.header_offset, copy.CRC = entry.header_offset, entry.CRC
            copy.file_size = copy.compress_size = entry.file_size
            archive.filelist.append(copy)
        archive.writestr("values/last", b"")  # so that zipfile writes the directory again
    assert error_of(path) == "its entries overlap, or have other bytes around them"


def test_two_entries_of_the_same_name_are_rejected(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(archive.namelist()[0], b"\x80\x02N.")
    assert error_of(path) == "it has two entries of the same name"


@pytest.mark.parametrize(
    "name",
    [
        *("values/DATA.PKL", "Values/data.pkl", "VALUES/data/0", "values/data/0x", "values/Data/0"),
        *("values/data.pkl/", "values//data.pkl", "values\\data.pkl", "data.pkl", "x/data.pkl"),
        *("values/../values/data.pkl", "/values/data.pkl", "values/data/../data.pkl"),
        *(
            "values/data/\N{ARABIC-INDIC DIGIT ONE}",
            "values/\N{FULLWIDTH LATIN SMALL LETTER D}ata.pkl",
        ),
        *("values/constants.pkl", "values/code/x.py", "values/.data/x", "values/", "x" * 9999),
    ],
    ids=ascii,
)
def test_an_entry_of_another_name_is_rejected(path: Path, name: str) -> None:
    """Another reader could take it for data.pkl, for example one that ignores case."""
    path.write_bytes(archive_of(entries_of(path) | {name: b"\x80\2N."}))
    assert "it has the unexpected entry" in error_of(path)


def test_a_first_entry_of_another_name_is_rejected(path: Path) -> None:
    path.write_bytes(archive_of({"values/DATA.PKL": b"\x80\2N."} | entries_of(path)))
    assert "it has the unexpected entry" in error_of(path)


def with_comment(content: bytes) -> bytes:
    return content[:-2] + b"\1\0#"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: pickle.dumps({"x": 1}, 2) + content, "it is not a ZIP archive"),
        (lambda content: b"#" + content, "it is not a ZIP archive"),
        (lambda content: content + b"#", "it is truncated, or has bytes after its end"),
        (lambda content: content + bytes(22), "it is truncated, or has bytes after its end"),
        (with_comment, "it is truncated, or has bytes after its end"),
        (lambda content: content + content, "its entries overlap, or have other bytes around them"),
        (
            lambda content: b"PK\3\4" + bytes(26) + content,
            "its entries overlap, or have other bytes around them",
        ),
        (lambda _: b"", "it is not a ZIP archive"),
        (lambda _: b"PK\3\4", "it is truncated, or has bytes after its end"),
        (lambda _: archive_of({}), "it is not a ZIP archive"),
        (
            lambda _: archive_of({f"x/data/{number}": b"" for number in range(10_001)}),
            "it has too many entries",
        ),
    ],
    ids=[
        *("pickle before", "byte before", "byte after", "zeros after", "comment", "two archives"),
        *("other entry before", "nothing", "signature", "no entries", "many entries"),
    ],
)
def test_a_file_with_more_or_less_than_one_archive_is_rejected(
    path: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    path.write_bytes(change(path.read_bytes()))
    assert error_of(path) == reason


@pytest.mark.parametrize("gap", [1, 16, 100])
def test_bytes_between_entries_are_rejected(path: Path, gap: int) -> None:
    """A directory can leave out entries, which other readers find by their signature."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries_of(path).items():
            archive.writestr(name, content)
        file.write(bytes(gap))
        archive.start_dir = file.tell()
    path.write_bytes(file.getvalue())
    assert error_of(path) == "its entries overlap, or have other bytes around them"


def test_torch_reads_only_what_was_checked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may change after it was read, and its local headers may differ."""
    content = bytearray(path.read_bytes())
    content[8] = 8  # the compression method in the local header; the directory has another
    path.write_bytes(content)
    load: Callable[..., Any] = torch.load

    def replace_and_load(file: Any, **options: Any) -> Any:
        path.write_bytes(b"")
        with zipfile.ZipFile(file) as archive:
            assert {each.partition("/")[0] for each in archive.namelist()} == {"archive"}
        file.seek(0)
        return load(file, **options)

    monkeypatch.setattr(torch, "load", replace_and_load)
    assert is_equal(load_archive(path), VALUES)


def test_the_byte_order_of_the_file_is_used(path: Path) -> None:
    rewrite_archive(path, {"byteorder": b"big"})
    assert torch.equal(load_archive(path)["ordered"]["b"], torch.arange(3) * 2**56)
    rewrite_archive(path, {"byteorder": b"middle"})
    assert error_of(path) == "ValueError"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_a_pipe_is_read_once(path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as file:
        file.write(path.read_bytes())
    assert is_equal(load_archive(Path(f"/dev/fd/{reader}")), VALUES)
    os.close(reader)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_an_endless_file_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo, sparse = tmp_path / "fifo", tmp_path / "sparse"
    os.mkfifo(fifo)
    with sparse.open("wb") as file:
        file.truncate(2**40)
    for endless in (sparse, Path("/dev/zero"), fifo):
        assert error_of(endless) == "it is not a ZIP archive"  # according to its first bytes
    monkeypatch.setattr(archive, "MAX_BYTES", 1_000_000)
    with sparse.open("r+b") as file:
        file.write(b"PK\3\4")
    with pytest.raises(OSError, match=r"it has more than 1,000,000 bytes"):
        load_archive(sparse)


def test_an_alarm_of_the_caller_is_not_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class AlarmError(Exception):
        pass

    def raise_alarm(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "load", raise_alarm)
    for error in (AlarmError(), TimeoutError(), MemoryError()):
        with pytest.raises(type(error)):
            load_archive(path)
