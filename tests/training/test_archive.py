import io
import os
import pickle
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cgan_training.archive import ArchiveError, load_archive

VALUES: dict[str, Any] = {
    "numbers": [1, -1, 2**40, 10**20, 0.5, True, False, None],
    "text": "große Ziffern \N{DIGIT ZERO}",
    "pair": (1, "a"),
    "ordered": OrderedDict(a=1, b=torch.arange(3)),
    "weights": torch.randn(4, 3),
    "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "scalar": torch.tensor(3.0),
    "none": torch.empty(0, 5),
}
WEIGHTS = VALUES["weights"].numpy().tobytes()
STORAGE = b"X\x07\0\0\0storage"
FLOATS = b"ctorch\nFloatStorage\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "values.pt"
    torch.save(VALUES, file)
    return file


def error_of(path: Path) -> str:
    with pytest.raises(ArchiveError) as caught:
        load_archive(path)
    return str(caught.value)


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def rewrite_archive(path: Path, parts: dict[str, bytes], **options: Any) -> None:
    """Replace entries of an archive, which are given without their first folder."""
    content = {name.partition("/")[2]: part for name, part in entries_of(path).items()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, part in (content | parts).items():
            archive.writestr(f"values/{name}", part)


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
@pytest.mark.parametrize("is_first", [True, False])
def test_an_entry_of_another_name_is_rejected(path: Path, name: str, is_first: bool) -> None:
    """Another reader could take it for data.pkl, for example one that ignores case."""
    entries, twin = entries_of(path), {name: b"\x80\2N."}
    path.write_bytes(archive_of(twin | entries if is_first else entries | twin))
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


def test_the_order_of_bytes_is_that_of_the_file(path: Path) -> None:
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
def test_an_endless_file_is_rejected_at_its_first_bytes(tmp_path: Path) -> None:
    fifo, sparse = tmp_path / "fifo", tmp_path / "sparse"
    os.mkfifo(fifo)
    with sparse.open("wb") as file:
        file.truncate(2**40)
    for endless in (sparse, Path("/dev/zero"), fifo):
        assert error_of(endless) == "it is not a ZIP archive"
    with sparse.open("r+b") as file:
        file.write(b"PK\3\4")
    with pytest.raises(OSError, match=r"it has more than 4,294,967,296 bytes"):
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


@pytest.mark.parametrize(
    ("pickle_bytes", "reason"),
    [
        (b"\x80\x02cos\nsystem\n.", "its pickle names 'os system'"),
        (b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\0\0\0\0\0\x01\x85R.", "names 'builtins bytear"),
        (b"\x80\x02\x8c\x02os\x8c\x06system\x93.", "its pickle uses SHORT_BINUNICODE"),
        (b"\x80\x05N.", "its pickle has protocol 5"),
        (b"\x80\x02(ios\nsystem\n.", "its pickle uses INST"),
        (b"\x80\x02)\x81.", "its pickle uses NEWOBJ"),
        (b"\x80\x02\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "ValueError"),
        (b"\x80\x02X\xff\xff\xff\x7f.", "ValueError"),
        (b"\x80\x02}", "ValueError"),
        (b"", "ValueError"),
        (b"\x80\x02h\x00.", "KeyError"),
        (bytes(2**24 + 1), "its pickle is too long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_pickle_is_rejected(path: Path, pickle_bytes: bytes, reason: str) -> None:
    rewrite_archive(path, {"data.pkl": pickle_bytes})
    assert reason in error_of(path)


@pytest.mark.parametrize(
    "key",
    [
        lambda number: b"\x8a\x0b" + (number * (2**61 - 1)).to_bytes(11, "little"),
        lambda number: b"".join(
            b"J\xff\xff\xff\xff" if number >> bit & 1 else b"J\xfe\xff\xff\xff" for bit in range(15)
        ).join((b"(", b"t")),
    ],
    ids=["integers", "tuples"],
)
def test_many_keys_with_equal_hashes_are_rejected(path: Path, key: Callable[[int], bytes]) -> None:
    """A dict of n such keys needs time in proportion to the square of n."""
    items = b"".join(key(number) + b"N" for number in range(20_001))
    rewrite_archive(path, {"data.pkl": b"\x80\2}(" + items + b"u."})
    assert error_of(path) == "its pickle is too long"


def nested_list(levels: int, references: int) -> Any:
    value: Any = ["x"]
    for _ in range(levels):
        value = [value] * references
    return value


def cyclic_list() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (nested_list(50, 1), "it holds too many or too deeply nested values"),
        (nested_list(60, 2), "it holds too many or too deeply nested values"),
        (cyclic_list(), "it holds too many or too deeply nested values"),
        ([0] * 200_001, "it holds too many or too deeply nested values"),
        (["x" * 2**20] * 17, "it holds too many or too deeply nested values"),
        (torch.zeros(1).expand(2**20, 2**20), "a tensor has more elements than its storage"),
        (torch.zeros(2).to_sparse(), "its pickle names"),
        (torch.empty(2**40, device="meta"), "its pickle names"),
        (torch.nn.Parameter(torch.zeros(2)), "its pickle names"),
        (torch.zeros(2, dtype=torch.complex64), "its pickle names"),
        (torch.float32, "its pickle names"),
        ({1, 2}, "its pickle names"),
        (b"bytes", "its pickle names"),
        (1j, "its pickle names"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_values_of_other_types_or_sizes_are_rejected(
    tmp_path: Path, value: Any, reason: str
) -> None:
    path = tmp_path / "other.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"value": value}, path)
    assert reason in error_of(path)


@pytest.mark.parametrize("size", [0, 4, 47, 49, 48_000])
def test_a_storage_of_a_size_other_than_declared_is_rejected(path: Path, size: int) -> None:
    """Old releases of torch would read beyond its end."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [each for each in archive.namelist() if archive.read(each) == WEIGHTS]
    rewrite_archive(path, {name.partition("/")[2]: bytes(size)})
    assert error_of(path) == "the size of a tensor differs from its declared size"


@pytest.mark.parametrize(
    "opcodes",
    [
        b"(" + STORAGE + FLOATS + b"X\1\0\0\0000X\3\0\0\0cpuK\1tQ.",
        b"(" + STORAGE + FLOATS + b"X\1\0\0\0009X\3\0\0\0cpuK\3tQ.",
        b"(" + STORAGE + b"NX\1\0\0\0000X\3\0\0\0cpuK\3tQ.",
        b"(K\3" + STORAGE + FLOATS + b"X\1\0\0\0000X\3\0\0\0cputQ.",
        b"NQ.",
        # A stored tuple follows what looks like the tuple of a sound reference.
        b"(" + STORAGE + FLOATS + b"X\1\0\0\0000X\3\0\0\0cpuM\xff\xfftq\x01"
        b"(" + STORAGE + FLOATS + b"X\1\0\0\0000X\3\0\0\0cpuK\3h\1Q.",
        b"K\3q\0(h\0Q.",
    ],
    ids=["wrong size", "no such entry", "no type", "wrong order", "no tuple", "stored", "number"],
)
def test_an_invalid_reference_to_a_storage_is_rejected(path: Path, opcodes: bytes) -> None:
    rewrite_archive(path, {"data.pkl": b"\x80\2" + opcodes})
    reasons = ("the size of a tensor differs from its declared size", "KeyError", "ValueError")
    assert error_of(path) in reasons


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"import os; os.mkdir({str(self.trace)!r})",)


def save_as_tar(bomb: Bomb, path: Path) -> None:
    """Save in torch's oldest format, whose code releases before 2.6 run despite weights_only."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(bomb if name == "pickle" else {})
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize(
    "save",
    [
        torch.save,
        lambda bomb, path: torch.save(bomb, path, _use_new_zipfile_serialization=False),
        lambda bomb, path: torch.save(bomb, path, pickle_protocol=4),
        lambda bomb, path: path.write_bytes(pickle.dumps(bomb)),
        save_as_tar,
    ],
    ids=["archive", "legacy", "protocol 4", "pickle", "tar"],
)
def test_code_in_a_pickle_is_not_executed(
    tmp_path: Path, save: Callable[[Bomb, Path], object]
) -> None:
    path, trace = tmp_path / "bomb.pt", tmp_path / "executed"
    save(Bomb(trace), path)
    assert error_of(path)
    assert not trace.exists()
