"""Mutants of ONNX files: damaged files and files that an attacker could make."""

import json
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any
from zlib import compress

import bytes_mutants
import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx_insertions import (
    add_allowed_memory_bomb,
    add_loop,
    add_memory_bomb,
    add_recursive_function,
    insert_fitting_nodes,
    insert_nodes,
)

from cgan_runtime.model_file.checksum import CHECKSUM_BYTES, add_checksum
from cgan_runtime.model_file.contract import PREFIX
from cgan_runtime.model_file.validation.rules import OPERATORS

TEXTS = ["", "x", "noise", "label", "image", "batch", "ai.onnx", "com.microsoft", "../../../x"]
TEXTS += ["/etc/passwd", "NaN", "1", "2", "a\nb", "\x1b]0;x\x07", "é" * 50, "a" * 70_000, "\0"]
TYPES = (0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 16, 17, 23, 99)
ATTRIBUTES = sorted({name for operator in OPERATORS.values() for name in operator.attributes})
DTYPES = (np.float32, np.float16, np.float64, np.uint8, np.int8, np.int32, np.int64, np.bool_)
PATHS = ("/etc/passwd", "../../../etc/passwd", "/dev/zero", "x", "", "/proc/self/mem")
WEIGHT_KINDS = [
    "enlarge dimensions",
    "use external data",
    "resize weights",
    "cast weights",
    "set weights",
]
NODE_KINDS = [
    "create cycle",
    "remove nodes",
    "shuffle nodes",
    "change operator",
    "change attribute",
]
FORBIDDEN = ("LSTM", "TopK", "RandomNormalLike", "NoSuch", "Loop", "NonZero")


def mutate(content: bytes, random: Random) -> tuple[bytes, str, bool]:
    """Change a valid file; return it, the kind of mutation, and whether its checksum is valid."""
    if random.random() < 0.3:
        body = content[:-CHECKSUM_BYTES]
        is_checksum_valid = random.random() < 0.5
        changed, kind = bytes_mutants.mutate(body if is_checksum_valid else content, random)
        return (add_checksum(changed) if is_checksum_valid else changed), kind, is_checksum_valid
    model = ModelProto()
    model.ParseFromString(content[:-CHECKSUM_BYTES])
    kinds = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        with suppress(Exception):  # an earlier mutation removed what this one changes
            kinds.append(mutate_model(model, random))
    try:
        body = model.SerializeToString()
    except (ValueError, UnicodeError):  # protobuf cannot write one of the texts
        return mutate(content, random)
    return add_checksum(body), kinds[0] if kinds else "unchanged", True


def mutate_model(model: ModelProto, random: Random) -> str:
    """Change a model in place; return the kind. Raise an exception if it does not fit."""
    kind = random.choice(KINDS)
    if kind in WEIGHT_KINDS:
        _mutate_weights(kind, random.choice(model.graph.initializer), random)
    elif kind in NODE_KINDS:
        _mutate_nodes(kind, model.graph.node, random)
    else:
        MODEL_MUTATIONS[kind](model, random)
    return kind


def _messages(message: Any) -> list[Any]:
    """Return a message and all messages in it."""
    messages = [message]
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for child in value if field.is_repeated else [value]:
                messages += _messages(child)
    return messages


def change_any_field(model: ModelProto, random: Random) -> None:
    """Change one field of one message."""
    message = random.choice(_messages(model))
    field = random.choice(list(message.DESCRIPTOR.fields))
    if random.random() < 0.15:
        message.ClearField(field.name)
    elif field.is_repeated:
        _change_repeated(getattr(message, field.name), field, random)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _scalar(field, random, getattr(message, field.name)))


def _change_repeated(values: Any, field: FieldDescriptor, random: Random) -> None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if not values or random.random() < 0.2:
            values.add()
            return
        index = random.randrange(len(values))
        match random.randrange(3):
            case 0:
                del values[index]
            case 1:
                values.add().CopyFrom(values[index])
            case _:
                values.sort(key=lambda _: random.random())
    elif values and random.random() < 0.4:
        del values[random.randrange(len(values))]
    elif values and random.random() < 0.6:
        index = random.randrange(len(values))
        values[index] = _scalar(field, random, values[index])
    else:
        values.extend([_scalar(field, random, None)] * random.choice((1, 2, 1000)))


def _scalar(field: FieldDescriptor, random: Random, before: Any) -> Any:
    numbers = bytes_mutants.INTERESTING
    choices: dict[int, Sequence[Any]] = {
        FieldDescriptor.TYPE_STRING: TEXTS,
        FieldDescriptor.TYPE_FLOAT: (0.0, -1.0, 1e38, float("nan"), float("inf"), 1e-45),
        FieldDescriptor.TYPE_DOUBLE: (0.0, -1.0, 1e300, float("nan"), float("inf")),
        FieldDescriptor.TYPE_INT32: [each for each in numbers if -(2**31) <= each < 2**31],
        FieldDescriptor.TYPE_UINT64: [each for each in numbers if each >= 0],
    }
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes_mutants.mutate(before or b"x", random)[0]
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random.choice([each.number for each in field.enum_type.values])
    int64s = [each for each in numbers if -(2**63) <= each < 2**63]
    return random.choice(choices.get(field.type, [*int64s, (before or 0) + 1, (before or 0) - 1]))


def _mutate_weights(kind: str, tensor: TensorProto, random: Random) -> None:
    values = numpy_helper.to_array(tensor).copy()
    match kind:
        case "enlarge dimensions":
            if not tensor.dims or random.random() < 0.3:
                size = random.choice((1, 2, 2**20, 2**40, 2**62))
                tensor.dims.extend([size] * random.choice((1, 3, 99)))
            else:
                sizes = (0, -1, 2**31, 2**62)
                tensor.dims[random.randrange(len(tensor.dims))] = random.choice(sizes)
            return
        case "use external data":
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            path = random.choice(PATHS)
            for key, value in (("location", path), ("offset", "0"), ("length", str(2**40))):
                if random.random() < 0.8:
                    tensor.external_data.add(key=key, value=value)
            return
        case "resize weights":
            shape = [random.choice((1, 2, size, size + 1, 64)) for size in values.shape or (1,)]
            values = np.resize(values, shape)
        case "cast weights":
            with np.errstate(all="ignore"):
                values = values.astype(random.choice(DTYPES))
        case _ if values.dtype.kind == "f":
            values[...] = random.choice((0, np.nan, np.inf, -np.inf, 1e-30, 6e4))
        case _ if values.dtype.kind in "iu":
            info = np.iinfo(values.dtype)
            values[...] = random.choice((0, 1, info.min, info.max))
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _mutate_nodes(kind: str, nodes: Any, random: Random) -> None:
    node = random.choice(nodes)
    match kind:
        case "create cycle":
            first, last = sorted(random.choices(range(len(nodes)), k=2))
            slot = random.randrange(len(nodes[first].input))
            nodes[first].input[slot] = nodes[last].output[0]
        case "remove nodes":
            for _ in range(random.choice((1, 2, 5))):
                del nodes[random.randrange(len(nodes))]
        case "shuffle nodes":
            nodes.sort(key=lambda _: random.random())
        case "change operator":
            node.op_type = random.choice([*OPERATORS, *FORBIDDEN])
        case _:
            value: Any = random.choice(bytes_mutants.INTERESTING[:20])
            name = random.choice(ATTRIBUTES)
            if random.random() < 0.5:
                sizes = (0, 1, 2, -1, 2**40, 2**62)
                value = [random.choice(sizes) for _ in range(random.randrange(1, 6))]
            for attribute in list(node.attribute):
                if attribute.name == name or random.random() < 0.3:
                    node.attribute.remove(attribute)
            if value not in (2**63, 2**64 - 1):
                node.attribute.append(helper.make_attribute(name, value))


def change_input(model: ModelProto, random: Random) -> None:
    """Connect an input of a node to another tensor."""
    node = random.choice(model.graph.node)
    names = [each.name for each in (*model.graph.initializer, *model.graph.input)]
    names += [name for each in model.graph.node for name in each.output]
    if node.input:
        node.input[random.randrange(len(node.input))] = random.choice([*names, "", "nowhere"])


def change_declared_type(model: ModelProto, random: Random) -> None:
    value = random.choice([*model.graph.input, *model.graph.output])
    tensor = value.type.tensor_type
    match random.randrange(4):
        case 0:
            tensor.elem_type = random.choice(TYPES)
        case 1:
            value.type.ClearField("value")
            value.type.sequence_type.elem_type.tensor_type.elem_type = 1
        case 2 if tensor.shape.dim:
            dimension = random.choice(tensor.shape.dim)
            dimension.dim_value = random.choice((0, 1, -1, 2**31, 2**62))
        case _:
            tensor.shape.dim.add(dim_value=random.choice((1, 2**40)))


def change_opset(model: ModelProto, random: Random) -> None:
    random.choice(model.opset_import).version = random.choice((0, 1, 7, 13, 18, 20, 21, 22, 99, -1))
    if random.random() < 0.3:
        model.opset_import.add(domain=random.choice(TEXTS), version=1)


@cache
def _zip_bomb() -> str:
    return b64encode(compress(bytes(2**26), 1)).decode()


def change_metadata(model: ModelProto, random: Random) -> None:
    entry = random.choice(model.metadata_props)
    golden = {"seed": 0, "labels": [0], "images": _zip_bomb()}
    texts = [*TEXTS, "[" * 50_000, '{"a":' * 50_000, "9" * 5000, "NaN", "null", "{}", "[]", "-1"]
    texts += [json.dumps(golden), '{"seed": 1e999, "labels": [0], "images": ""}', '["\\ud800"]']
    texts += [str(number) for number in bytes_mutants.INTERESTING]
    if random.random() < 0.5:
        entry.value = random.choice(texts)
    elif random.random() < 0.7:
        start = random.randrange(len(entry.value) + 1)
        entry.value = entry.value[:start] + random.choice(texts[:30]) + entry.value[start + 1 :]
    else:
        entry.key = random.choice([f"{PREFIX}contract", f"{PREFIX}golden", *TEXTS])


MODEL_MUTATIONS = {
    mutation.__name__.replace("_", " "): mutation
    for mutation in (
        change_any_field,
        change_input,
        change_declared_type,
        change_opset,
        change_metadata,
        add_loop,
        add_memory_bomb,
        add_allowed_memory_bomb,
        add_recursive_function,
        insert_nodes,
        insert_fitting_nodes,
    )
}
# Mutations that often pass graph validation are more frequent, because they test onnxruntime too.
KINDS = [
    *(*MODEL_MUTATIONS, *WEIGHT_KINDS, *NODE_KINDS),
    *4 * ["change any field", "insert fitting nodes", "set weights", "change metadata"],
    *3 * ["change attribute"],
    *2 * ["resize weights", "cast weights", "change input"],
]
