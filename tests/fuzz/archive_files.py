"""Archives with code, in other formats, or that another parser would read differently."""

import gzip
import io
import os
import pickle
import tarfile
import warnings
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import torch

Entries = dict[str, bytes]  # of a zip archive, by name


def load_values(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), weights_only=True)


def save_values(values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(values, file, **options)
    return file.getvalue()


class _RunsCode:
    """An object whose pickle calls a function that creates the canary."""

    def __init__(self, canary: Path, random: Random) -> None:
        self.call = random.choice(
            [
                (os.mkdir, (str(canary),)),
                (os.system, (f"touch '{canary}'",)),
                (eval, (f"open({str(canary)!r}, 'w')",)),
                (exec, (f"import os; os.mkdir({str(canary)!r})",)),
                (open, (str(canary), "w")),
            ]
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def add_code(content: bytes, random: Random, canary: Path) -> bytes:
    """Add a pickle that runs code, in the current format or in an older format of torch."""
    values = load_values(content)
    key = "bomb" if random.random() < 0.5 else random.choice([*values])
    values[key] = _RunsCode(canary, random)
    if random.random() < 0.3:
        return pickle.dumps(values, protocol=random.randrange(6))
    protocol, as_zip = random.randrange(2, 6), random.random() < 0.6
    return save_values(values, _use_new_zipfile_serialization=as_zip, pickle_protocol=protocol)


def save_in_older_format(content: bytes, random: Random, _canary: Path) -> bytes:
    protocol = random.randrange(2, 5)
    return save_values(
        load_values(content), _use_new_zipfile_serialization=False, pickle_protocol=protocol
    )


def save_as_tar(_content: bytes, random: Random, canary: Path) -> bytes:
    """Use torch's oldest format, whose pickle runs in torch before 2.6."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            pickled = pickle.dumps(_RunsCode(canary, random) if name == "pickle" else {})
            entry = tarfile.TarInfo(name)
            entry.size = len(pickled)
            archive.addfile(entry, io.BytesIO(pickled))
    return file.getvalue()


def wrap(content: bytes, random: Random, _canary: Path) -> bytes:
    """Compress the file, or add bytes before or after it."""
    match random.randrange(4):
        case 0:
            return gzip.compress(content)
        case 1:
            return random.randbytes(random.choice((1, 100))) + content
        case 2:
            return content + random.randbytes(random.choice((1, 100)))
        case _:
            return content + content


def save_torchscript(_content: bytes, _random: Random, _canary: Path) -> bytes:
    """Return a TorchScript archive, which torch.load() reads with other code."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    return file.getvalue()


def join_with_other_format(content: bytes, random: Random, canary: Path) -> bytes:
    """Put a second file, which another parser would read, around the archive or into it."""
    make = random.choice((add_code, save_in_older_format, save_as_tar, save_torchscript, _change))
    other = make(content, random, canary)
    match random.randrange(5):
        case 0:
            return other + content
        case 1:
            return content + other
        case 2:  # a comment at the end
            other = other[:65_535]
            return content[:-2] + len(other).to_bytes(2, "little") + other
        case 3:  # a first entry that the directory does not list
            return _archive({"x": other})[: 31 + len(other)] + content
        case _:
            return _archive(entries_of(content), gap=other)


def add_name_twin(content: bytes, random: Random, canary: Path) -> bytes:
    """Add an entry whose name another ZIP parser could confuse with an existing entry."""
    entries, twins = entries_of(content), entries_of(_change(content, random, canary))
    folder = next(iter(entries)).partition("/")[0]
    twins |= {
        f"{folder}/{name}": b"\x80\2cos\nsystem\n." for name in ("constants.pkl", "code/a.py")
    }
    name = random.choice([f"{folder}/data.pkl", *twins])
    variants = [
        name,
        name.upper(),
        name.title(),
        name.replace("/", "\\"),
        f"./{name}",
        f"{name}\0x",
    ]
    variants += [
        f"x/{name.partition('/')[2]}",
        name.replace("/", "//"),
        name.replace("d", "\uff44"),
    ]
    twin = {random.choice(variants): twins.get(name, b"\x80\2N.")}
    # The same name is written twice only if the twin is an archive of its own.
    first, second = (twin, entries) if random.random() < 0.5 else (entries, twin)
    return _archive(second, begin=_archive(first)) if name in twin else _archive(first | second)


def rebuild_archive(content: bytes, random: Random, _canary: Path) -> bytes:
    """Write the same entries in another form of the format."""
    items = [*entries_of(content).items()]
    random.shuffle(items)
    folder = random.choice(
        ("archive", "x", "..", "\N{DIGIT ZERO}\N{FULLWIDTH DIGIT ONE}", "a" * 300)
    )
    entries = {f"{folder}/{name.partition('/')[2]}": part for name, part in items}
    return _archive(
        entries,
        comment=random.choice((b"", b"", b"x")),
        extra=random.choice((b"", b"\xfe\xca\0\0", b"\1\0\x08\0" + bytes(8))),
        is_stream=random.random() < 0.3,
        force_zip64=random.random() < 0.3,
    )


class _Stream(io.BytesIO):
    """A file without seek(), for which zipfile writes the sizes behind the entries."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation

    tell = seek


def _archive(
    entries: Entries,
    *,
    begin: bytes = b"",
    gap: bytes = b"",
    comment: bytes = b"",
    extra: bytes = b"",
    is_stream: bool = False,
    force_zip64: bool = False,
) -> bytes:
    file = _Stream() if is_stream else io.BytesIO()
    file.write(begin)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w" if not begin else "a") as archive:
        warnings.simplefilter("ignore")
        for name, content in entries.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.extra = name, extra
            with archive.open(info, "w", force_zip64=force_zip64) as entry:
                entry.write(content)
        archive.comment = comment
        if gap:
            file.seek(archive.start_dir)
            file.write(gap)
            archive.start_dir = file.tell()
    return file.getvalue()


def entries_of(content: bytes) -> Entries:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _change(content: bytes, random: Random, _canary: Path) -> bytes:
    """Return an archive of other values."""
    values = load_values(content)
    values[random.choice([*values])] = random.choice((0, "x", [1]))
    return save_values(values)


FILE_MUTATIONS = {
    "run code": add_code,
    "save in older format": save_in_older_format,
    "save as tar": save_as_tar,
    "wrap": wrap,
    "save TorchScript": save_torchscript,
    "polyglot": join_with_other_format,
    "name twin": add_name_twin,
    "rebuild": rebuild_archive,
}
# load_archive() must reject these files or return the original values.
UNCHANGED = ("polyglot", "name twin", "rebuild")
