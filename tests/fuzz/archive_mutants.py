"""Mutants of model.pt and checkpoint.pt: damaged files and files that an attacker could make."""

import io
import pickletools
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from random import Random
from typing import Any

import bytes_mutants
import torch
from archive_files import FILE_MUTATIONS, UNCHANGED, Entries, entries_of, load_values, save_values

ENTRY_KINDS = (
    "change entry",
    "change pickle",
    "insert opcode",
    "change number",
    "rename entry",
    "remove entries",
    "swap entries",
    "compress",
    "change byte order",
    "duplicate entries",
)


def mutate(content: bytes, random: Random, canary: Path) -> tuple[bytes, str, bool]:
    """Change a valid file; return it, the kind of mutation, and whether its checksums are valid.

    The code in a pickle creates the canary if it runs.
    """
    choice = random.random()
    if choice < 0.25:
        return *bytes_mutants.mutate(content, random), False
    if choice < 0.5:
        kind = random.choice(ENTRY_KINDS)
        return _mutate_entries(kind, entries_of(content), random), kind, True
    if choice < 0.7:
        kind = random.choice([*FILE_MUTATIONS])
        return FILE_MUTATIONS[kind](content, random, canary), kind, kind not in UNCHANGED
    values = load_values(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for _ in range(random.choice((1, 1, 2, 4))):
                values = _change_value(values, random)
            return save_values(values), "change values", True
        except Exception:  # noqa: BLE001 - torch cannot make or save these values, so try again
            return mutate(content, random, canary)


def _mutate_pickle(kind: str, pickled: bytes, random: Random) -> bytes:
    ops: list[Any] = [*pickletools.genops(pickled)]
    if kind == "change pickle":
        return bytes_mutants.mutate(pickled, random)[0]
    if kind == "insert opcode":
        _, _, start = random.choice(ops)
        return pickled[:start] + random.choice(OPCODES) + pickled[start:]
    # The numbers are sizes, strides, offsets and lengths.
    opcode, _, start = random.choice([op for op in ops if op[0].name.startswith("BININT")])
    end = start + {"BININT": 5, "BININT1": 2, "BININT2": 3}[opcode.name]
    number = random.choice(bytes_mutants.INTERESTING)
    return pickled[:start] + b"\x8a\x09" + number.to_bytes(9, "little", signed=True) + pickled[end:]


def _mutate_entries(kind: str, entries: Entries, random: Random) -> bytes:
    """Change the entries of an archive and return an archive with valid checksums."""
    name = random.choice([*entries])
    folder = name.partition("/")[0]
    copies, compression = [1], zipfile.ZIP_STORED
    match kind:
        case "change entry":
            entries[name] = bytes_mutants.mutate(entries[name] or b"x", random)[0]
        case "rename entry":
            names = ["x", "/etc/x", "../../x", "a/data.pkl", "b/data/0", name * 9]
            entries[random.choice(names)] = entries.pop(name)
        case "remove entries":
            del entries[name]
            entries.pop(random.choice([*entries, "none"]), None)
        case "swap entries":
            other = random.choice([*entries])
            entries[name], entries[other] = entries[other], entries[name]
        case "compress":  # zeros that compress well make a zip bomb
            entries[name] += bytes(random.choice((0, 2**20, 2**26)))
            compression = zipfile.ZIP_DEFLATED
        case "duplicate entries":
            copies = [1, 1, 2]
        case "change byte order":
            entries[f"{folder}/byteorder"] = random.choice((b"big", b"middle", b""))
        case _:
            name = f"{folder}/data.pkl"
            entries[name] = _mutate_pickle(kind, entries[name], random)
    contents = [item for item in entries.items() for _ in range(random.choice(copies))]
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, content in contents:
            archive.writestr(name, content)
    return file.getvalue()


def _single_bytes(codes: bytes) -> list[bytes]:
    return [bytes([code]) for code in codes]


OPCODES = [
    *(b"cos\nsystem\n", b"cbuiltins\neval\n", b"\x8c\x02os\x8c\x06system\x93", b"ios\nsystem\n"),
    *(b"cbuiltins\nbytearray\n\x8a\x06\0\0\0\0\0\x01\x85R0", b"ctorch\nSize\n", b"ctorch\nload\n"),
    *(b"r\xff\xff\xff\x7f", b"j\xff\xff\xff\x7f", b"q\xff", b"h\xff", b"X\xff\xff\xff\x7f"),
    *(b"\x8d" + b"\xff" * 7 + b"\x7f", b"\x8e" + b"\xff" * 7 + b"\x7f", b"\x8a\xff"),
    *(b"\x95" + b"\xff" * 7 + b"\x7f", *_single_bytes(b"(012aesutRbQ"), b"P0\n"),
    *(*_single_bytes(b"o\x81\x92"), b"\x82\x01", *_single_bytes(b"\x94\x97.}])N"), b"I9\n"),
    *(b"L9L\n", b"F9\n", b"S'x'\n", b"Vx\n", b"\x80\x05", b"G" + bytes(8)),
]


DTYPES = (torch.int64, torch.uint8, torch.float16, torch.bool)


def _change_value(value: Any, random: Random) -> Any:
    """Return the value with one change somewhere in it."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        changed = dict(value)
        key = random.choice([*value])
        match random.randrange(12):
            case 0:
                del changed[key]
            case 1:
                new_key = random.choice(("x", 0, "epoch", "hidden", (key, key)))
                changed[new_key] = _arbitrary_value(random)
            case 2:
                changed[key] = changed[random.choice([*value])]
            case _:
                changed[key] = _change_value(value[key], random)
        return changed
    if type(value) in (list, tuple) and value and random.random() < 0.8:
        items = list(value)
        index = random.randrange(len(items))
        items[index] = _change_value(items[index], random)
        if random.random() < 0.2:
            items = (items * random.choice((0, 2, 1000)))[:100_000]
        return type(value)(items)
    if isinstance(value, torch.Tensor) and random.random() < 0.85:
        return _change_tensor(value, random)
    if type(value) is int and random.random() < 0.6:
        return random.choice((*bytes_mutants.INTERESTING, value + 1, value - 1, value * 2))
    return _arbitrary_value(random)


def _change_tensor(tensor: torch.Tensor, random: Random) -> torch.Tensor:
    number, dtype = random.choice((float("nan"), float("inf"), -1e38)), random.choice(DTYPES)
    return random.choice(
        [
            *(torch.ones_like(tensor) * random.choice((0, 1, 100)), tensor.double()),
            *(torch.full(tensor.shape, number), tensor.to(dtype), tensor.to(torch.complex64)),
            *(tensor.reshape(-1)[:-1], tensor.unsqueeze(0), tensor.float().requires_grad_()),
            *(tensor.mT if tensor.ndim > 1 else tensor, torch.nn.Parameter(tensor.float())),
            *(torch.zeros(1).expand(2**20, 2**20), torch.zeros(()).expand(tensor.shape)),
            *(torch.empty(0), torch.zeros(()), torch.empty(2**40, device="meta")),
            torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.int64), [1.0], (2**40,)),
            torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
            torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        ]
    )


def _arbitrary_value(random: Random) -> Any:
    nested: Any = []
    for _ in range(random.choice((10, 200))):
        nested = [nested]
    shared: Any = ["x"]
    for _ in range(60):
        shared = [shared, shared]  # 60 lists that expand to 2**60 values
    recursive: list[Any] = []
    recursive.append(recursive)
    return random.choice(
        [
            *(None, True, False, 0, -1, 1.5, float("nan"), float("inf"), 10**600, "", "x"),
            *("\ud800", "a\nb", "\x1b[2J", "é" * 99, "x" * 10**6, b"x", bytearray(9), 1j),
            *({}, [], (), [0] * 1000, {"kind": "perceptron"}, {0: 1}, {None: 1}, {(1, 2): 3}),
            *(nested, shared, recursive, {1, 2}, torch.zeros(2), torch.float32),
            *(torch.device("cpu"), torch.Size([1]), OrderedDict(a=1), [2**31] * 3, [10**9, 10**9]),
            [1] * 50_000,
        ]
    )
