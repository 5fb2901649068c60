"""Pickles of an archive: code, values of other types, and references to storages."""

import io
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from archives import VALUES, WEIGHTS, error_of, rewrite_archive

STORAGE = b"X\x07\0\0\0storage"
FLOATS = b"ctorch\nFloatStorage\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "values.pt"
    torch.save(VALUES, file)
    return file


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
    ("opcodes", "reason"),
    [
        (
            b"(" + STORAGE + FLOATS + b"X\1\0\0\0000X\3\0\0\0cpuK\1tQ.",
            "the size of a tensor differs from its declared size",
        ),
        (b"(" + STORAGE + FLOATS + b"X\1\0\0\0009X\3\0\0\0cpuK\3tQ.", "KeyError"),
        (b"(" + STORAGE + b"NX\1\0\0\0000X\3\0\0\0cpuK\3tQ.", "KeyError"),
        (b"(K\3" + STORAGE + FLOATS + b"X\1\0\0\0000X\3\0\0\0cputQ.", "KeyError"),
        (b"NQ.", "ValueError"),
        (  # A valid reference is followed by an invalid one from the memo.
            b"(" + STORAGE + FLOATS + b"X\1\0\0\0000X\3\0\0\0cpuM\xff\xfftq\x01"
            b"(" + STORAGE + FLOATS + b"X\1\0\0\0000X\3\0\0\0cpuK\3h\1Q.",
            "the size of a tensor differs from its declared size",
        ),
        (b"K\3q\0(h\0Q.", "ValueError"),
    ],
    ids=["wrong size", "no such entry", "no type", "wrong order", "no tuple", "memo", "number"],
)
def test_an_invalid_reference_to_a_storage_is_rejected(
    path: Path, opcodes: bytes, reason: str
) -> None:
    rewrite_archive(path, {"data.pkl": b"\x80\2" + opcodes})
    assert error_of(path) == reason


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
