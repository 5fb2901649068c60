import io
import pickle
import subprocess
import sys
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "values.pt"
    torch.save(VALUES, file)
    return file


def refusal(path: Path) -> str:
    with pytest.raises(ArchiveError) as caught:
        load_archive(path)
    return str(caught.value)


def rezipped(path: Path, change: Callable[[dict[str, bytes]], object], **options: Any) -> None:
    """Change the parts of an archive, by the ends of their names; their checksums are right."""
    with zipfile.ZipFile(path) as archive:
        parts = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in parts.items():
            archive.writestr(f"values/{name}", content)


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, Tensor):
        return torch.equal(found, wanted) and found.stride() == wanted.stride()
    if isinstance(wanted, dict):
        return [*found] == [*wanted] and all(same(found[key], wanted[key]) for key in wanted)
    return type(found) is type(wanted) and bool(found == wanted)


def test_what_was_saved_is_read(path: Path) -> None:
    assert same(load_archive(path), VALUES)
    assert same(load_archive(path), torch.load(path, weights_only=True))


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_archive(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError):
        load_archive(tmp_path)


def test_a_flipped_bit_of_a_weight_is_found(path: Path) -> None:
    content = path.read_bytes()
    weights = VALUES["weights"].numpy().tobytes()
    assert content.count(weights) == 1
    for place in range(len(weights)):
        changed = bytearray(content)
        changed[content.index(weights) + place] ^= 1
        path.write_bytes(changed)
        assert "is damaged" in refusal(path)


def test_any_flipped_bit_is_found_or_changes_nothing(path: Path) -> None:
    """Between its parts an archive has bytes that nobody reads."""
    content = path.read_bytes()
    for place in range(0, len(content), 13):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with suppress(ArchiveError):
            assert same(load_archive(path), VALUES)


def packed(parts: dict[str, bytes]) -> None:
    parts["data/0"] = bytes(2**20)


def test_a_packed_archive_is_refused(path: Path) -> None:
    rezipped(path, packed, compression=zipfile.ZIP_DEFLATED)
    assert refusal(path) == "it is packed"


def test_parts_that_overlap_are_refused(path: Path) -> None:
    """A directory that tells of the same bytes again and again: a bomb without packing."""
    with zipfile.ZipFile(path) as archive:
        entry = max(archive.infolist(), key=lambda each: each.file_size)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(5000):
            copy = zipfile.ZipInfo(f"values/data/{number + 100}")
            copy.header_offset, copy.CRC = entry.header_offset, entry.CRC
            copy.file_size = copy.compress_size = entry.file_size
            archive.filelist.append(copy)
        archive.writestr("values/last", b"")  # or the directory would not be written again
    assert refusal(path) == "its parts overlap"


def test_a_part_that_comes_twice_is_refused(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(archive.namelist()[0], b"\x80\x02N.")
    assert refusal(path) == "a part comes twice"


@pytest.mark.parametrize(
    ("pickle_bytes", "reason"),
    [
        (b"\x80\x02cos\nsystem\n.", "its pickle names 'os system'"),
        (
            b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\0\0\0\0\0\x01\x85R.",
            "names 'builtins bytearray'",
        ),
        (b"\x80\x02\x8c\x02os\x8c\x06system\x93.", "its pickle uses SHORT_BINUNICODE"),
        (b"\x80\x05N.", "its pickle is of protocol 5"),
        (b"\x80\x02(ios\nsystem\n.", "its pickle uses INST"),
        (b"\x80\x02)\x81.", "its pickle uses NEWOBJ"),
        (b"\x80\x02\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "ValueError"),
        (b"\x80\x02X\xff\xff\xff\x7f.", "ValueError"),
        (b"\x80\x02}", "ValueError"),
        (b"", "ValueError"),
        (b"\x80\x02h\x00.", "KeyError"),
    ],
)
def test_a_pickle_of_other_words_is_refused(path: Path, pickle_bytes: bytes, reason: str) -> None:
    rezipped(path, lambda parts: parts.update({"data.pkl": pickle_bytes}))
    assert reason in refusal(path)


def test_a_pickle_that_is_too_long_is_not_read(path: Path) -> None:
    rezipped(path, lambda parts: parts.update({"data.pkl": bytes(2**24 + 1)}))
    assert refusal(path) == "its pickle is too long"


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def doubled() -> Any:
    value: Any = ["x"]
    for _ in range(60):
        value = [value, value]
    return value


def of_itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (deep(50), "it holds too many values"),
        (doubled(), "it holds too many values"),
        (of_itself(), "it holds too many values"),
        ([0] * 200_001, "it holds too many values"),
        (torch.zeros(1).expand(2**20, 2**20), "a tensor is longer than its numbers"),
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
def test_what_no_run_saves_is_refused(tmp_path: Path, value: Any, reason: str) -> None:
    path = tmp_path / "other.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"value": value}, path)
    assert reason in refusal(path)


@pytest.mark.parametrize("size", [0, 4, 47, 49, 48_000])
def test_a_storage_of_another_size_than_it_says_is_refused(path: Path, size: int) -> None:
    """It would be read to its end in the pickle, whatever lies there in memory or in the file."""

    def resized(parts: dict[str, bytes]) -> None:
        (name,) = [name for name, part in parts.items() if part == weights]
        parts[name] = bytes(size)

    weights = VALUES["weights"].numpy().tobytes()
    rezipped(path, resized)
    assert refusal(path) == "a tensor is of another size than it says"


@pytest.mark.parametrize(
    "words",
    [
        b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\1tQ.",  # says 1 of 3
        b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0009X\3\0\0\0cpuK\3tQ.",  # no such part
        b"(X\x07\0\0\0storageNX\1\0\0\0000X\3\0\0\0cpuK\3tQ.",  # of no kind
        b"(K\3X\x07\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cputQ.",
        b"NQ.",
        b"K\3q\0(h\0Q.",
    ],
)
def test_a_storage_that_is_named_in_other_words_is_refused(path: Path, words: bytes) -> None:
    rezipped(path, lambda parts: parts.update({"data.pkl": b"\x80\2" + words}))
    assert refusal(path) in ("a tensor is of another size than it says", "KeyError", "ValueError")


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"import os; os.mkdir({str(self.trace)!r})",)


def as_tar(bomb: Bomb, path: Path) -> None:
    """torch's oldest format, which its releases before 2.6 run whatever weights_only says."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            held = pickle.dumps(bomb if name == "pickle" else {})
            entry = tarfile.TarInfo(name)
            entry.size = len(held)
            archive.addfile(entry, io.BytesIO(held))


@pytest.mark.parametrize(
    "save",
    [
        torch.save,
        lambda bomb, path: torch.save(bomb, path, _use_new_zipfile_serialization=False),
        lambda bomb, path: torch.save(bomb, path, pickle_protocol=4),
        lambda bomb, path: path.write_bytes(pickle.dumps(bomb)),
        as_tar,
    ],
    ids=["archive", "older", "protocol 4", "pickle", "tar"],
)
def test_a_pickle_that_would_run_code_does_not(
    tmp_path: Path, save: Callable[[Bomb, Path], object]
) -> None:
    path, trace = tmp_path / "bomb.pt", tmp_path / "was-here"
    save(Bomb(trace), path)
    assert refusal(path)
    assert not trace.exists()


def test_older_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "older.pt"
    torch.save(VALUES, path, _use_new_zipfile_serialization=False)
    assert refusal(path) == "BadZipFile"


def test_a_bomb_costs_little(tmp_path: Path) -> None:
    """Sixty lists that unfold to 2**60 values, in a process that may have 300 MB more."""
    path = tmp_path / "bomb.pt"
    torch.save(doubled(), path)
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from cgan_training.archive import ArchiveError, load_archive\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)\n"
        "try:\n    load_archive(Path(sys.argv[1]))\n"
        "except ArchiveError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "it holds too many values\n", done.stderr
