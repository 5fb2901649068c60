"""Write .pt files, and read them without running, or believing, anything in them.

torch.load(weights_only=True) keeps a pickle from running code. It does not keep it from asking for
a terabyte, and releases before 2.6 let one run code all the same, through torch's older formats
(CVE-2025-32434). So a file is read here first: it must be the kind of archive that torch.save
writes, not packed and not damaged, with a pickle of the few words that tensors and plain values
need.
"""

import io
import math
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgan_runtime.files import atomic_write

MOST_PICKLE = 2**24  # bytes of the archive's pickle
MOST_VALUES, DEEPEST = 200_000, 40  # in it, also where one is told to be in several places

PROTOCOL = 2  # of pickle, as torch.save writes it
OPCODES = {
    *("PROTO", "STOP", "MARK", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2"),
    *("TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS"),
    *("GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
}
PUTS, GETS = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}
BYTES = {  # a number takes in each kind of storage
    **dict.fromkeys(("torch BoolStorage", "torch ByteStorage", "torch CharStorage"), 1),
    **dict.fromkeys(("torch HalfStorage", "torch BFloat16Storage"), 2),
    **dict.fromkeys(("torch IntStorage", "torch FloatStorage"), 4),
    **dict.fromkeys(("torch LongStorage", "torch DoubleStorage"), 8),
}
GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", *BYTES}


class ArchiveError(Exception):
    """The file is none that torch.save wrote of tensors and plain values; says why."""


def load_archive(path: Path) -> Any:
    """Return what a file holds: dicts, lists and tuples of tensors, numbers, texts and None.

    Args:
        path: of a file that torch.save wrote.

    Returns:
        The same as torch.load() would, with every tensor on the CPU.

    Raises:
        OSError: it cannot be read.
        ArchiveError: it is another file, is damaged, or holds something else.
    """
    with path.open("rb"):  # says what is missing in words
        pass
    try:
        _check(path)
        return _Copy().of(torch.load(path, map_location="cpu", weights_only=True))
    except ArchiveError:
        raise
    except Exception as error:  # torch, zipfile and pickletools tell damage by a dozen of them
        raise ArchiveError(f"{type(error).__name__}") from error


def save_archive(values: Any, path: Path) -> None:
    """Write tensors and plain values as torch.save() does, whole or not at all.

    Raises:
        OutputError: the place cannot be written.
    """
    # By way of memory: what the disk says, torch would turn into an error of another kind.
    content = io.BytesIO()
    torch.save(values, content)
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def _check(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ArchiveError("it is packed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ArchiveError("its parts overlap")
        if len(set(names)) != len(names):
            raise ArchiveError("a part comes twice")
        (pickle,) = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
        if pickle.file_size > MOST_PICKLE:
            raise ArchiveError("its pickle is too long")
        damaged = archive.testzip()  # which torch.load does not look at
        if damaged is not None:
            raise ArchiveError(f"{damaged!r:.60} is damaged")
        sizes = {each.filename.partition("/")[2]: each.file_size for each in entries}
        _check_pickle(archive.read(pickle), sizes)


def _check_pickle(pickle: bytes, sizes: dict[str, int]) -> None:
    """Check the words of a pickle, and that each storage it names is as long as it says.

    torch compares the two since October 2025 (pytorch#165553), and read beyond the end before.
    """
    memo: dict[Any, Any] = {}
    row: list[Any] = []  # the arguments of all words since the last MARK
    for number, (opcode, argument, _) in enumerate(pickletools.genops(pickle)):
        if opcode.name not in OPCODES or number > 4 * MOST_VALUES:
            raise ArchiveError(f"its pickle uses {opcode.name}")
        if opcode.name == "PROTO" and argument != PROTOCOL:
            raise ArchiveError(f"its pickle is of protocol {argument}")
        if opcode.name == "GLOBAL" and argument not in GLOBALS:
            raise ArchiveError(f"its pickle names {argument!r:.60}")
        if opcode.name in PUTS:
            memo[argument] = row[-1] if row else None
        elif opcode.name == "MARK":
            row = []
        elif opcode.name == "BINPERSID":
            word, kind, key, _place, count, _tuple = row
            if word != "storage" or sizes[f"data/{key}"] != BYTES[kind] * count:
                raise ArchiveError("a tensor is of another size than it says")
        else:
            row.append(memo[argument] if opcode.name in GETS else argument)


class _Copy:
    """Copies values that may be there, and counts them."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def of(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            raise ArchiveError("it holds too many values")
        if isinstance(value, dict):
            return {self.of(key): self.of(each, depth + 1) for key, each in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.of(each, depth + 1) for each in value)
        if isinstance(value, Tensor):
            return _checked(value)
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise ArchiveError(f"it holds a {type(value).__name__}")


def _checked(tensor: Tensor) -> Tensor:
    """Return a tensor that needs no more memory than the file has."""
    held = tensor.untyped_storage().nbytes() // tensor.element_size()
    if math.prod(tensor.shape) > held:
        raise ArchiveError("a tensor is longer than its numbers")
    return tensor.detach()
