"""Write .pt files, and read them without executing or trusting their content.

torch.load(weights_only=True) prevents a pickle from running code. It does not prevent the pickle
from allocating a terabyte, and releases before 2.6 can still run code from torch's older formats
(CVE-2025-32434). Each file is therefore checked before torch.load() sees it: it must be the
undamaged, uncompressed ZIP archive that torch.save() writes, and its pickle may only use the
opcodes and globals that tensors and plain values need.
"""

import io
import itertools
import math
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgan_runtime.files import atomic_write

MAX_PICKLE_BYTES = 2**24
MAX_VALUES = 200_000  # a value that is referenced several times counts each time
MAX_DEPTH = 40  # nested containers

PUT_OPCODES, GET_OPCODES = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}
OPCODES = {
    *("PROTO", "STOP", "MARK", *PUT_OPCODES, *GET_OPCODES),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2"),
    *("TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS"),
    *("GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
}
ITEM_BYTES = {  # by storage type
    **dict.fromkeys(("torch BoolStorage", "torch ByteStorage", "torch CharStorage"), 1),
    **dict.fromkeys(("torch HalfStorage", "torch BFloat16Storage"), 2),
    **dict.fromkeys(("torch IntStorage", "torch FloatStorage"), 4),
    **dict.fromkeys(("torch LongStorage", "torch DoubleStorage"), 8),
}
GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", *ITEM_BYTES}


class ArchiveError(Exception):
    """A file is damaged, or is not an archive of tensors and plain values. Its text says why."""


def load_archive(path: Path) -> Any:
    """Load dicts, lists and tuples of tensors, numbers, strings and None that torch.save() wrote.

    Every tensor is loaded to the CPU.

    Raises:
        OSError: the file cannot be read.
        ArchiveError: the file has another format, is damaged, or holds other types.
    """
    with path.open("rb"):  # raises an OSError with a clear reason, which zipfile's errors lack
        pass
    try:
        _check_archive(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
        return _checked_copy(values, itertools.count(1))
    except ArchiveError:
        raise
    except Exception as error:  # torch, zipfile and pickletools raise many types for damage
        raise ArchiveError(type(error).__name__) from error


def save_archive(values: Any, path: Path) -> None:
    """Write tensors and plain values like torch.save(), but atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    # torch.save() would turn an OSError of the disk into a RuntimeError, so it writes to memory.
    content = io.BytesIO()
    torch.save(values, content)
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ArchiveError("it is compressed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ArchiveError("its entries overlap")
        if len({entry.filename for entry in entries}) != len(entries):
            raise ArchiveError("it has two entries of the same name")
        (pickle,) = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
        if pickle.file_size > MAX_PICKLE_BYTES:
            raise ArchiveError("its pickle is too long")
        damaged = archive.testzip()  # torch.load() does not verify the checksums
        if damaged is not None:
            raise ArchiveError(f"{damaged!r:.60} is damaged")
        sizes = {entry.filename.partition("/")[2]: entry.file_size for entry in entries}
        _check_pickle(archive.read(pickle), sizes)


def _check_pickle(pickle: bytes, sizes: dict[str, int]) -> None:
    """Check the opcodes of a pickle, and that each storage has the size that the pickle declares.

    torch itself checks these sizes since October 2025 (pytorch#165553). Earlier releases read
    beyond the end of the storage.
    """
    memo: dict[Any, Any] = {}
    arguments: list[Any] = []  # of all opcodes since the last MARK
    for number, (opcode, argument, _) in enumerate(pickletools.genops(pickle)):
        if number > 4 * MAX_VALUES:
            raise ArchiveError("its pickle is too long")
        if opcode.name not in OPCODES:
            raise ArchiveError(f"its pickle uses {opcode.name}")
        if opcode.name == "PROTO" and argument != 2:  # the protocol of torch.save()
            raise ArchiveError(f"its pickle has protocol {argument}")
        if opcode.name == "GLOBAL" and argument not in GLOBALS:
            raise ArchiveError(f"its pickle names {argument!r:.60}")
        if opcode.name in PUT_OPCODES:
            memo[argument] = arguments[-1] if arguments else None
        elif opcode.name == "MARK":
            arguments = []
        elif opcode.name == "BINPERSID":
            tag, storage_type, key, _location, count, _tuple = arguments
            if tag != "storage" or sizes[f"data/{key}"] != ITEM_BYTES[storage_type] * count:
                raise ArchiveError("the size of a tensor differs from its declared size")
        else:
            arguments.append(memo[argument] if opcode.name in GET_OPCODES else argument)


def _checked_copy(value: Any, counter: Iterator[int], depth: int = 0) -> Any:
    """Copy a value of the allowed types; the counter counts all values from 1."""
    if next(counter) > MAX_VALUES or depth > MAX_DEPTH:
        raise ArchiveError("it holds too many or too deeply nested values")
    if isinstance(value, dict):
        return {
            _checked_copy(key, counter): _checked_copy(each, counter, depth + 1)
            for key, each in value.items()
        }
    if type(value) in (list, tuple):
        return type(value)(_checked_copy(each, counter, depth + 1) for each in value)
    if isinstance(value, Tensor):
        # An expanded tensor can have far more elements than its storage.
        if math.prod(value.shape) > value.untyped_storage().nbytes() // value.element_size():
            raise ArchiveError("a tensor has more elements than its storage")
        return value.detach()
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise ArchiveError(f"it holds a {type(value).__name__}")
