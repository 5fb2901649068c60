"""model.pt and checkpoint.pt files that somebody made wrong, by accident or on purpose."""

import gzip
import io
import os
import pickle
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import bytes_mutants
import torch
from torch import Tensor

Parts = dict[str, bytes]  # of an archive, by name


def mutated(content: bytes, random: Random, canary: Path) -> tuple[bytes, str, bool]:
    """Return a changed file, what was done to it, and whether its checksums are right again.

    Args:
        content: of a sound file.
        random: decides everything.
        canary: what a pickle would make if it ran.
    """
    draw = random.random()
    if draw < 0.25:
        changed, kind = bytes_mutants.mutated(content, random)
        return changed, kind, False
    if draw < 0.5:
        parts = _parts(content)
        name = random.choice([*PART_MUTATIONS])
        changed_content = PART_MUTATIONS[name](parts, random)
        return changed_content, name, True
    if draw < 0.65:
        name = random.choice([*BOMBS])
        return BOMBS[name](content, random, canary), name, True
    values = torch.load(io.BytesIO(content), weights_only=True)
    for _ in range(random.choice((1, 1, 2, 4))):
        values = _other(values, random)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _saved(values), "other values", True
        except Exception:  # noqa: BLE001 - torch does not save it: then nobody gets it
            return mutated(content, random, canary)


def _saved(values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(values, file, **options)
    return file.getvalue()


def _parts(content: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(parts: Parts, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def _pickle_of(parts: Parts) -> str:
    (name,) = [name for name in parts if name.endswith("/data.pkl")]
    return name


def a_part(parts: Parts, random: Random) -> bytes:
    name = random.choice([*parts])
    parts[name] = bytes_mutants.mutated(parts[name] or b"x", random)[0]
    return _zipped(parts)


def its_pickle(parts: Parts, random: Random) -> bytes:
    name = _pickle_of(parts)
    parts[name] = bytes_mutants.mutated(parts[name], random)[0]
    return _zipped(parts)


def an_opcode(parts: Parts, random: Random) -> bytes:
    """Put opcodes into the pickle, at places where opcodes are."""
    name = _pickle_of(parts)
    places = [place for _, _, place in pickle_ops(parts[name])]
    place = random.choice(places)
    code = random.choice(OPCODES)
    parts[name] = parts[name][:place] + code + parts[name][place:]
    return _zipped(parts)


def a_number(parts: Parts, random: Random) -> bytes:
    """Change one of the pickle's numbers: a size, a stride, an offset, a length."""
    name = _pickle_of(parts)
    ops = [each for each in pickle_ops(parts[name]) if each[0].name.startswith("BININT")]
    opcode, _, place = random.choice(ops)
    length = {"BININT": 5, "BININT1": 2, "BININT2": 3}[opcode.name]
    number = random.choice(bytes_mutants.INTERESTING)
    code = b"\x8a\x09" + number.to_bytes(9, "little", signed=True)
    parts[name] = parts[name][:place] + code + parts[name][place + length :]
    return _zipped(parts)


def pickle_ops(content: bytes) -> list[Any]:
    import pickletools

    return list(pickletools.genops(content))


def other_names(parts: Parts, random: Random) -> bytes:
    name = random.choice([*parts])
    content = parts.pop(name)
    parts[random.choice(["x", "/etc/x", "../../x", "a/data.pkl", "b/data/0", name * 9])] = content
    return _zipped(parts)


def fewer_parts(parts: Parts, random: Random) -> bytes:
    for _ in range(random.choice((1, 2))):
        parts.pop(random.choice([*parts]))
    return _zipped(parts)


def exchanged_parts(parts: Parts, random: Random) -> bytes:
    one, other = random.choices([*parts], k=2)
    parts[one], parts[other] = parts[other], parts[one]
    return _zipped(parts)


def packed(parts: Parts, random: Random) -> bytes:
    """Deflated, one part a bomb."""
    name = random.choice([*parts])
    parts[name] += bytes(random.choice((0, 2**20, 2**26)))
    return _zipped(parts, zipfile.ZIP_DEFLATED)


def big_endian(parts: Parts, random: Random) -> bytes:
    (name,) = [name for name in parts if name.endswith("/byteorder")]
    parts[name] = random.choice((b"big", b"middle", b""))
    return _zipped(parts)


def twice(parts: Parts, random: Random) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in parts.items():
            for _ in range(random.choice((1, 1, 2))):
                archive.writestr(name, content)
    return file.getvalue()


OPCODES = [
    *(b"cos\nsystem\n", b"cbuiltins\neval\n", b"\x8c\x02os\x8c\x06system\x93", b"ios\nsystem\n"),
    *(b"cbuiltins\nbytearray\n\x8a\x06\0\0\0\0\0\x01\x85R0", b"ctorch\nSize\n", b"ctorch\nload\n"),
    *(b"r\xff\xff\xff\x7f", b"j\xff\xff\xff\x7f", b"q\xff", b"h\xff", b"X\xff\xff\xff\x7f"),
    *(
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8a\xff",
    ),
    *(
        b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"(",
        b"0",
        b"1",
        b"2",
        b"a",
        b"e",
        b"s",
        b"u",
        b"t",
    ),
    *(b"R", b"b", b"Q", b"P0\n", b"o", b"\x81", b"\x92", b"\x82\x01", b"\x94", b"\x97", b".", b"}"),
    *(
        b"]",
        b")",
        b"N",
        b"I9\n",
        b"L9L\n",
        b"F9\n",
        b"S'x'\n",
        b"Vx\n",
        b"\x80\x05",
        b"G" + bytes(8),
    ),
]


def _other(value: Any, random: Random) -> Any:
    """Return values that differ in one place."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        changed = dict(value)
        key = random.choice([*value])
        match random.randrange(12):
            case 0:
                del changed[key]
            case 1:
                changed[random.choice(("x", 0, "epoch", "hidden", (key, key)))] = _anything(random)
            case 2:
                changed[key] = changed[random.choice([*value])]
            case _:
                changed[key] = _other(value[key], random)
        return changed
    if type(value) in (list, tuple) and value and random.random() < 0.8:
        items = list(value)
        place = random.randrange(len(items))
        items[place] = _other(items[place], random)
        if random.random() < 0.2:
            items *= random.choice((0, 2, 1000))
        return type(value)(items)
    if isinstance(value, Tensor) and random.random() < 0.85:
        return _other_tensor(value, random)
    if type(value) is int and random.random() < 0.6:
        return random.choice((*bytes_mutants.INTERESTING, value + 1, value - 1, value * 2))
    return _anything(random)


def _other_tensor(tensor: Tensor, random: Random) -> Tensor:
    kinds: list[Callable[[], Tensor]] = [
        lambda: torch.ones_like(tensor) * random.choice((0, 1, 100)),
        lambda: torch.full(tensor.shape, random.choice((float("nan"), float("inf"), -1e38))),
        tensor.double,
        lambda: tensor.to(random.choice((torch.int64, torch.uint8, torch.float16, torch.bool))),
        lambda: tensor.to(torch.complex64),
        lambda: tensor.reshape(-1)[:-1],
        lambda: tensor.unsqueeze(0),
        lambda: tensor.mT if tensor.ndim > 1 else tensor,
        lambda: torch.zeros(1).expand(2**20, 2**20),
        lambda: torch.zeros(()).expand(tensor.shape),
        lambda: torch.empty(0),
        lambda: torch.zeros(()),
        lambda: torch.empty(2**40, device="meta"),
        lambda: torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.int64), [1.0], (2**40,)),
        lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        lambda: tensor.float().requires_grad_(),
        lambda: torch.nn.Parameter(tensor.float()),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return random.choice(kinds)()


def _anything(random: Random) -> Any:
    deep: Any = []
    for _ in range(random.choice((10, 200))):
        deep = [deep]
    doubled: Any = ["x"]
    for _ in range(60):
        doubled = [doubled, doubled]  # 2**60 values in 60 lists
    itself: list[Any] = []
    itself.append(itself)
    return random.choice(
        [
            *(None, True, False, 0, -1, 1.5, float("nan"), float("inf"), 10**600, "", "x"),
            *("\ud800", "a\nb", "\x1b[2J", "é" * 99, "x" * 10**6, b"x", bytearray(9), 1j),
            *({}, [], (), [0] * 1000, {"kind": "perceptron"}, {0: 1}, {None: 1}, {(1, 2): 3}),
            *(deep, doubled, itself, {1, 2}, torch.zeros(2), torch.float32, torch.device("cpu")),
            *(torch.Size([1]), OrderedDict(a=1), [2**31] * 3, [10**9, 10**9], [1] * 50_000),
        ]
    )


class _Runs:
    """What a hostile pickle holds: a call."""

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


def runs_code(content: bytes, random: Random, canary: Path) -> bytes:
    """In the format that it should be, or in one of torch's older ones."""
    values = torch.load(io.BytesIO(content), weights_only=True)
    values["bomb" if random.random() < 0.5 else random.choice([*values])] = _Runs(canary, random)
    if random.random() < 0.3:
        return pickle.dumps(values, protocol=random.randrange(6))
    return _saved(
        values,
        _use_new_zipfile_serialization=random.random() < 0.6,
        pickle_protocol=random.randrange(2, 6),
    )


def older_format(content: bytes, random: Random, _canary: Path) -> bytes:
    """The same values, as torch wrote them once."""
    values = torch.load(io.BytesIO(content), weights_only=True)
    return _saved(
        values,
        _use_new_zipfile_serialization=False,
        pickle_protocol=random.randrange(2, 5),
    )


def tar(content: bytes, random: Random, canary: Path) -> bytes:
    """torch's oldest format, whose pickle its releases before 2.6 run."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            held = pickle.dumps(_Runs(canary, random) if name == "pickle" else {})
            entry = tarfile.TarInfo(name)
            entry.size = len(held)
            archive.addfile(entry, io.BytesIO(held))
    return file.getvalue()


def wrapped(content: bytes, random: Random, _canary: Path) -> bytes:
    """In another archive, or with something before or behind."""
    match random.randrange(4):
        case 0:
            return gzip.compress(content)
        case 1:
            return random.randbytes(random.choice((1, 100))) + content
        case 2:
            return content + random.randbytes(random.choice((1, 100)))
        case _:
            return content + content


def script(_content: bytes, _random: Random, _canary: Path) -> bytes:
    """A TorchScript archive, which torch.load would hand to another reader."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    return file.getvalue()


PART_MUTATIONS: dict[str, Callable[[Parts, Random], bytes]] = {
    "a part changed": a_part,
    "its pickle changed": its_pickle,
    "an opcode put in": an_opcode,
    "a number of the pickle": a_number,
    "parts renamed": other_names,
    "parts missing": fewer_parts,
    "parts exchanged": exchanged_parts,
    "packed": packed,
    "big endian": big_endian,
    "parts twice": twice,
}
BOMBS: dict[str, Callable[[bytes, Random, Path], bytes]] = {
    "runs code": runs_code,
    "older format": older_format,
    "tar": tar,
    "wrapped": wrapped,
    "TorchScript": script,
}
