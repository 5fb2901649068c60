"""Write .pt files, and read them without executing or trusting their content.

torch.load(weights_only=True) prevents a pickle from running code. It does not prevent the pickle
from allocating a terabyte, and releases before 2.6 can still run code from torch's older formats
(CVE-2025-32434). Each file is therefore read once and checked: it must be the undamaged,
uncompressed ZIP archive that torch.save() writes, and its pickle may only use the opcodes and
globals that tensors and plain values need. torch.load() then gets a new archive of the checked
entries, so that no difference between two readers of ZIP matters.
"""

import io
import math
import pickle
import pickletools
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgan_runtime.files import atomic_write
from cgan_training.errors import TrainingError
from cgan_training.input_files import read_bounded

MAX_BYTES = 2**32  # size of a file
MAX_ENTRIES = 10_000
MAX_PICKLE_BYTES = 2**24
MAX_OPCODES = 800_000  # largest number of opcodes in a pickle; a plain value takes one or two
MAX_VALUES = 200_000  # a value that is referenced several times counts each time
MAX_CHARACTERS = 2**24  # total length of all strings; also counted for each reference
MAX_DEPTH = 40  # largest number of nested containers
# Attackers can choose tuples and large integers with equal hashes. As the keys of a dict they need
# quadratic time: 20 s for this number of them.
MAX_COLLIDING_KEYS = 20_000
KEY_OPCODES = {"LONG1", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}

PUT_OPCODES, GET_OPCODES = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}
OPCODES = {
    *("PROTO", "STOP", "MARK", *PUT_OPCODES, *GET_OPCODES),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2"),
    *("TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS"),
    *("GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
}
ITEM_BYTES = {  # size of an element, by storage type
    **dict.fromkeys(("torch BoolStorage", "torch ByteStorage", "torch CharStorage"), 1),
    **dict.fromkeys(("torch HalfStorage", "torch BFloat16Storage"), 2),
    **dict.fromkeys(("torch IntStorage", "torch FloatStorage"), 4),
    **dict.fromkeys(("torch LongStorage", "torch DoubleStorage"), 8),
}
# The names of entries within the archive's only folder. torch.load() does not need the entries
# whose names start with a dot.
NAMES = re.compile(r"data\.pkl|data/[0-9]{1,9}|byteorder|version")
DOT_NAMES = re.compile(r"\.data/serialization_id|\.format_version|\.storage_alignment")
# The format of ZIP archives: PKWARE, APPNOTE.TXT, section 4.3.
SIGNATURE, DIRECTORY_SIGNATURE = b"PK\3\4", b"PK\1\2"
DESCRIPTOR_SIGNATURE, END_SIGNATURE = b"PK\7\x08", b"PK\5\6"
HEADER_BYTES, DESCRIPTOR_BYTES, END_BYTES = 30, 16, 22
NAME_LENGTHS_OFFSET = 26  # lengths of an entry's name and extra field, each a uint16
GAPS = "its entries overlap, or have other bytes around them"
CORRUPTION_ERRORS = (  # raised by torch, zipfile and pickletools for invalid content
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, RuntimeError),
    *(TypeError, ValueError, pickle.PickleError, struct.error, zipfile.BadZipFile),
)
GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", *ITEM_BYTES}


class ArchiveError(Exception):
    """A file is damaged, or is not an archive of tensors and plain values; the message says why."""


def load_archive(path: Path) -> Any:
    """Load dicts, lists and tuples of tensors, numbers, strings and None that torch.save() wrote.

    Every tensor is loaded to the CPU.

    Raises:
        OSError: the file cannot be read, or has more than MAX_BYTES.
        ArchiveError: the file has another format, is damaged, or holds other types.
    """
    content = read_bounded(path, MAX_BYTES, SIGNATURE)
    try:
        entries = _checked_entries(content)
        _check_pickle(bytes(entries["data.pkl"]), entries)
        archive = _build_archive(entries)
        del content, entries  # frees their memory before torch.load() needs more
        values = torch.load(archive, map_location="cpu", weights_only=True)
        return _Copier().copy(values)
    except CORRUPTION_ERRORS as error:
        raise ArchiveError(type(error).__name__) from error


def load_archive_with_advice(
    path: Path, error_class: type[TrainingError], damaged: str, remedy: str = "check the path"
) -> Any:
    """Return load_archive(path); raise errors that tell the user what to do.

    Args:
        path: the file.
        error_class: class of the errors.
        damaged: message for a file that is damaged or has another format; it may contain {path}
            and {reason}.
        remedy: what to do if the file cannot be read.

    Raises:
        TrainingError: of error_class; the file cannot be read, is damaged or has another format.
    """
    try:
        return load_archive(path)
    except OSError as error:
        raise error_class(f"cannot read {path}: {error.strerror}; {remedy}") from error
    except ArchiveError as error:
        raise error_class(damaged.format(path=path, reason=error)) from error


def save_archive(values: Any, path: Path) -> None:
    """Write tensors and plain values like torch.save(), but atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    # torch.save() turns an OSError of the disk into a RuntimeError, so it writes to memory here.
    content = io.BytesIO()
    torch.save(values, content)
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def _checked_entries(content: bytes) -> dict[str, memoryview]:
    """Return the contents of the entries that torch.load() needs, by name without the folder."""
    listed, end = _list_entries(content)
    only_folder = listed[0].orig_filename.partition("/")[0]
    checked: dict[str, memoryview] = {}
    position = 0
    for entry in listed:
        folder, _, name = entry.orig_filename.partition("/")
        is_known = NAMES.fullmatch(name) or DOT_NAMES.fullmatch(name)
        if name.startswith("code/__torch__"):
            raise ArchiveError("it is TorchScript, which torch.jit.save() wrote")
        if not is_known or folder != only_folder:
            raise ArchiveError(f"it has the unexpected entry {entry.orig_filename!r:.60}")
        if name in checked:
            raise ArchiveError("it has two entries of the same name")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise ArchiveError("it is compressed")
        if entry.header_offset != position or content[position : position + 4] != SIGNATURE:
            raise ArchiveError(GAPS)
        lengths = struct.unpack_from("<HH", content, position + NAME_LENGTHS_OFFSET)
        start = position + HEADER_BYTES + sum(lengths)
        position = start + entry.file_size
        checked[name] = memoryview(content)[start:position]
        # torch.load() does not verify the checksums.
        if position > end or zlib.crc32(checked[name]) != entry.CRC:
            raise ArchiveError(f"{entry.orig_filename!r:.60} is damaged")
        if content[position : position + 4] == DESCRIPTOR_SIGNATURE:
            position += DESCRIPTOR_BYTES
    if position != end:
        raise ArchiveError(GAPS)
    return {name: data for name, data in checked.items() if NAMES.fullmatch(name)}


def _list_entries(content: bytes) -> tuple[list[zipfile.ZipInfo], int]:
    """Return the entries of an archive in the order of the file, and the offset of their end."""
    if not content.startswith(SIGNATURE):
        raise ArchiveError("it is not a ZIP archive")
    has_comment = content[-2:] != b"\0\0"
    if has_comment or not content[-END_BYTES:].startswith(END_SIGNATURE):
        raise ArchiveError("it is truncated, or has bytes after its end")
    if content.count(DIRECTORY_SIGNATURE) > MAX_ENTRIES:
        raise ArchiveError("it has too many entries")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
        return entries, archive.start_dir


def _build_archive(entries: dict[str, memoryview]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            # A ZipInfo has a constant date; the clock of a device may be before 1980.
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)
    file.seek(0)
    return file


def _check_pickle(content: bytes, entries: dict[str, memoryview]) -> None:
    """Check the opcodes of a pickle, and that each storage has the size that the pickle declares.

    torch itself checks these sizes since October 2025 (pytorch#165553). Earlier releases read
    beyond the end of the storage.
    """
    if len(content) > MAX_PICKLE_BYTES:
        raise ArchiveError("its pickle is too long")
    memo: dict[Any, Any] = {}
    arguments: list[Any] = []  # the arguments of all opcodes since the last MARK
    possible_keys = 0
    last = ""  # the previous opcode, not counting those that only store in the memo
    for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        possible_keys += opcode.name in KEY_OPCODES
        if number > MAX_OPCODES or possible_keys > MAX_COLLIDING_KEYS:
            raise ArchiveError("its pickle is too long")
        _check_opcode(opcode.name, argument)
        if opcode.name in PUT_OPCODES:
            memo[argument] = arguments[-1] if arguments else None
            continue
        if opcode.name == "MARK":
            arguments = []
        elif opcode.name == "BINPERSID":
            tag, storage_type, key, _location, count, _tuple = arguments
            size = ITEM_BYTES[storage_type] * count
            if last != "TUPLE" or tag != "storage" or len(entries[f"data/{key}"]) != size:
                raise ArchiveError("the size of a tensor differs from its declared size")
        else:
            arguments.append(memo[argument] if opcode.name in GET_OPCODES else argument)
        last = opcode.name


def _check_opcode(name: str, argument: object) -> None:
    if name not in OPCODES:
        raise ArchiveError(f"its pickle uses {name}")
    if name == "PROTO" and argument != 2:  # the protocol of torch.save()
        raise ArchiveError(f"its pickle has protocol {argument}")
    if name == "GLOBAL" and argument not in GLOBALS:
        raise ArchiveError(f"its pickle names {argument!r:.60}")


class _Copier:
    """Copies values of the allowed types, up to a total size."""

    def __init__(self) -> None:
        self._values, self._characters = 0, 0

    def copy(self, value: Any, depth: int = 0) -> Any:
        self._count(value, depth)
        if isinstance(value, dict):
            return {self.copy(key): self.copy(item, depth + 1) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.copy(item, depth + 1) for item in value)
        if isinstance(value, Tensor):
            # An expanded tensor can have far more elements than its storage.
            if math.prod(value.shape) > value.untyped_storage().nbytes() // value.element_size():
                raise ArchiveError("a tensor has more elements than its storage")
            return value.detach()
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise ArchiveError(f"it holds a {type(value).__name__}")

    def _count(self, value: Any, depth: int) -> None:
        self._values += 1
        self._characters += len(value) if isinstance(value, str) else 0
        if self._values > MAX_VALUES or self._characters > MAX_CHARACTERS or depth > MAX_DEPTH:
            raise ArchiveError("it holds too many or too deeply nested values")
