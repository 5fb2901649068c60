"""ONNX files that somebody made wrong, by accident or on purpose."""

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any
from zlib import compress

import bytes_mutants
import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from onnx import TensorProto, helper, numpy_helper

from cgan_runtime.model_file.checksum import CHECKSUM_BYTES, add_checksum
from cgan_runtime.model_file.contract import PREFIX

TEXTS = ["", "x", "noise", "label", "image", "batch", "ai.onnx", "com.microsoft", "../../../x"]
TEXTS += ["/etc/passwd", "NaN", "1", "2", "a\nb", "\x1b]0;x\x07", "é" * 50, "a" * 70_000, "\0"]
TYPES = (0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 16, 17, 23, 99)
Model = onnx.ModelProto


def mutated(content: bytes, random: Random) -> tuple[bytes, str, bool]:
    """Return a changed file, what was done to it, and whether it was sealed again.

    Args:
        content: of a sound file.
        random: decides everything.
    """
    if random.random() < 0.3:
        body = content[:-CHECKSUM_BYTES]
        rechecksummed = random.random() < 0.5
        changed, kind = bytes_mutants.mutated(body if rechecksummed else content, random)
        return (add_checksum(changed) if rechecksummed else changed), kind, rechecksummed
    model = Model()
    model.ParseFromString(content[:-CHECKSUM_BYTES])
    kinds = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        name = random.choice(WEIGHTED)
        with suppress(Exception):  # one before left nothing for it to change
            MUTATIONS[name](model, random)
            kinds.append(name)
    try:
        body = model.SerializeToString()
    except (ValueError, UnicodeError):  # a text that protobuf will not write
        return mutated(content, random)
    return add_checksum(body), kinds[0] if kinds else "unchanged", True


def _messages(message: Any) -> list[Any]:
    """Return a message and all in it."""
    found = [message]
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in value if field.is_repeated else [value]:
                found += _messages(each)
    return found


def any_field(model: Model, random: Random) -> None:
    """Change one field of one message, whatever it is."""
    message = random.choice(_messages(model))
    field = random.choice(list(message.DESCRIPTOR.fields))
    if random.random() < 0.15:
        message.ClearField(field.name)
    elif field.is_repeated:
        _change_several(message, field, random)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _scalar(field, random, getattr(message, field.name)))


def _change_several(message: Any, field: FieldDescriptor, random: Random) -> None:
    values = getattr(message, field.name)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if not values or random.random() < 0.2:
            values.add()
            return
        place = random.randrange(len(values))
        match random.randrange(3):
            case 0:
                del values[place]
            case 1:
                values.add().CopyFrom(values[place])
            case _:
                other = random.randrange(len(values))
                copy = type(values[place])()
                copy.CopyFrom(values[place])
                values[place].CopyFrom(values[other])
                values[other].CopyFrom(copy)
    elif values and random.random() < 0.4:
        del values[random.randrange(len(values))]
    elif values and random.random() < 0.6:
        place = random.randrange(len(values))
        values[place] = _scalar(field, random, values[place])
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
        return bytes_mutants.mutated(before or b"x", random)[0]
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random.choice([each.number for each in field.enum_type.values])
    wide = [each for each in numbers if -(2**63) <= each < 2**63]
    return random.choice(choices.get(field.type, [*wide, (before or 0) + 1, (before or 0) - 1]))


def huge_dimensions(model: Model, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    if not tensor.dims or random.random() < 0.3:
        tensor.dims.extend([random.choice((1, 2, 2**20, 2**40, 2**62))] * random.choice((1, 3, 99)))
    else:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice((0, -1, 2**31, 2**62))


def other_sizes(model: Model, random: Random) -> None:
    """Weights of another shape that agree with themselves."""
    tensor = random.choice(model.graph.initializer)
    values = numpy_helper.to_array(tensor)
    shape = [random.choice((1, 2, size, size + 1, 64)) for size in values.shape or (1,)]
    tensor.CopyFrom(numpy_helper.from_array(np.resize(values, shape), tensor.name))


def other_values(model: Model, random: Random) -> None:
    """Weights that are no sensible numbers."""
    tensor = random.choice(model.graph.initializer)
    values = numpy_helper.to_array(tensor).copy()
    if values.size and values.dtype.kind == "f":
        values[...] = random.choice((0, np.nan, np.inf, -np.inf, 1e-30, 6e4))
    elif values.size and values.dtype.kind in "iu":
        info = np.iinfo(values.dtype)
        values[...] = random.choice((0, 1, info.min, info.max))
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def other_types(model: Model, random: Random) -> None:
    """A tensor of another type, with as many bytes as it takes."""
    tensor = random.choice(model.graph.initializer)
    values = numpy_helper.to_array(tensor)
    kinds = [np.float32, np.float16, np.float64, np.uint8, np.int8, np.int32, np.int64, np.bool_]
    with np.errstate(all="ignore"):
        tensor.CopyFrom(numpy_helper.from_array(values.astype(random.choice(kinds)), tensor.name))


def external_data(model: Model, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    place = random.choice(
        ["/etc/passwd", "../../../etc/passwd", "/dev/zero", "x", "", "/proc/self/mem"]
    )
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", "0"), ("length", str(2**40))):
        if random.random() < 0.8:
            tensor.external_data.add(key=key, value=value)


def cyclic_nodes(model: Model, random: Random) -> None:
    first, last = sorted(random.choices(range(len(model.graph.node)), k=2))
    nodes = model.graph.node
    if nodes[first].input:
        place = random.randrange(len(nodes[first].input))
        nodes[first].input[place] = nodes[last].output[0]


def missing_nodes(model: Model, random: Random) -> None:
    for _ in range(random.choice((1, 2, 5))):
        if model.graph.node:
            del model.graph.node[random.randrange(len(model.graph.node))]


def shuffled_nodes(model: Model, random: Random) -> None:
    nodes = list(model.graph.node)
    random.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def other_operator(model: Model, random: Random) -> None:
    node = random.choice(model.graph.node)
    node.op_type = random.choice([*ALLOWED, *FOREIGN])


def other_inputs(model: Model, random: Random) -> None:
    """Connect a node to another value."""
    node = random.choice(model.graph.node)
    names = [each.name for each in (*model.graph.initializer, *model.graph.input)]
    names += [name for each in model.graph.node for name in each.output]
    if node.input:
        node.input[random.randrange(len(node.input))] = random.choice([*names, "", "nowhere"])


def declared_types(model: Model, random: Random) -> None:
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


def opsets(model: Model, random: Random) -> None:
    random.choice(model.opset_import).version = random.choice((0, 1, 7, 13, 18, 20, 21, 22, 99, -1))
    if random.random() < 0.3:
        model.opset_import.add(domain=random.choice(TEXTS), version=1)


def metadata(model: Model, random: Random) -> None:
    entry = random.choice(model.metadata_props)
    bomb = b64encode(compress(bytes(2**26), 1)).decode()
    golden = {"seed": 0, "labels": [0], "images": bomb}
    texts = [*TEXTS, "[" * 50_000, '{"a":' * 50_000, "9" * 5000, "NaN", "null", "{}", "[]", "-1"]
    texts += [json.dumps(golden), '{"seed": 1e999, "labels": [0], "images": ""}', '["\\ud800"]']
    texts += [str(number) for number in bytes_mutants.INTERESTING]
    if random.random() < 0.5:
        entry.value = random.choice(texts)
    elif random.random() < 0.7:
        place = random.randrange(len(entry.value) + 1)
        entry.value = entry.value[:place] + random.choice(texts[:30]) + entry.value[place + 1 :]
    else:
        entry.key = random.choice([f"{PREFIX}contract", f"{PREFIX}golden", *TEXTS])


def loops(model: Model, random: Random) -> None:
    """Loop, Scan and If with bodies that take for ever."""
    one = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    go = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    gone = helper.make_tensor_value_info("gone", TensorProto.BOOL, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["gone"])], "b", [one, go], [gone]
    )
    many = numpy_helper.from_array(np.array(2**62), "trips")
    true = numpy_helper.from_array(np.array(True), "true")
    model.graph.initializer.extend([many, true])
    kind = random.choice(("Loop", "If", "Scan"))
    if kind == "Loop":
        node = helper.make_node("Loop", ["trips", "true"], [], body=body)
    elif kind == "If":
        node = helper.make_node("If", ["true"], ["then"], then_branch=body, else_branch=body)
    else:
        node = helper.make_node("Scan", ["noise"], ["scanned"], body=body, num_scan_inputs=1)
    model.graph.node.insert(random.randrange(len(model.graph.node) + 1), node)


def memory_bombs(model: Model, random: Random) -> None:
    """Operators that make much of little."""
    size = numpy_helper.from_array(np.array([random.choice((2**20, 2**31, 2**40))]), "size")
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    model.graph.initializer.extend([size, one])
    node = {
        "ConstantOfShape": helper.make_node("ConstantOfShape", ["size"], ["bomb"]),
        "Expand": helper.make_node("Expand", ["one", "size"], ["bomb"]),
        "Tile": helper.make_node("Tile", ["one", "size"], ["bomb"]),
        "Range": helper.make_node("Range", ["size", "size", "size"], ["bomb"]),
        "RandomNormal": helper.make_node("RandomNormal", [], ["bomb"], shape=[2**40]),
        "EyeLike": helper.make_node("EyeLike", ["one"], ["bomb"]),
        "Resize": helper.make_node("Resize", ["one", "", "", "size"], ["bomb"]),
        "Pad": helper.make_node("Pad", ["one", "size"], ["bomb"]),
    }
    model.graph.node.insert(0, node[random.choice([*node])])


def allowed_bombs(model: Model, random: Random) -> None:
    """The same with operators that a generator may have."""
    count = random.choice((100, 10_000, 100_000))
    column, row = np.zeros((count, 1), np.float32), np.zeros((1, count), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(column, "column"))
    model.graph.initializer.append(numpy_helper.from_array(row, "row"))
    operator = random.choice(("Gemm", "Add", "Mul"))
    model.graph.node.insert(0, helper.make_node(operator, ["column", "row"], ["bomb"]))
    for _ in range(random.choice((0, 3, 300))):
        made = f"bomb{len(model.graph.node)}"
        model.graph.node.insert(1, helper.make_node(operator, ["column", "row"], [made]))


def functions(model: Model, random: Random) -> None:
    function = model.functions.add(
        name=random.choice(("Gemm", "f")), domain=random.choice(("", "d"))
    )
    function.node.add(op_type=function.name, domain=function.domain)  # calls itself
    node = random.choice(model.graph.node)
    node.op_type, node.domain = function.name, function.domain


def attributes(model: Model, random: Random) -> None:
    node = random.choice(model.graph.node)
    name = random.choice(["axis", "to", "perm", "pads", "strides", "dilations", "group", "transA"])
    value: Any = random.choice(bytes_mutants.INTERESTING[:20])
    if random.random() < 0.5:
        value = [random.choice((0, 1, 2, -1, 2**40, 2**62)) for _ in range(random.randrange(1, 6))]
    for attribute in list(node.attribute):
        if attribute.name == name or random.random() < 0.3:
            node.attribute.remove(attribute)
    if -(2**63) <= (value if isinstance(value, int) else 0) < 2**63:
        node.attribute.append(helper.make_attribute(name, value))


def more_nodes(model: Model, random: Random) -> None:
    """Put allowed operators on edges of the graph, with weights and attributes that may fit."""
    for _ in range(random.choice((1, 2, 6))):
        places = [each for each in model.graph.node if each.input]
        if not places:
            return
        node = random.choice(places)
        slot = random.randrange(len(node.input))
        made = f"put{random.randrange(10**9)}"
        operator = random.choice([*ALLOWED])
        inputs = [node.input[slot], *(_weight(model, random) for _ in range(ALLOWED[operator]))]
        new = helper.make_node(operator, inputs, [made], **_attributes(operator, random))
        where = list(model.graph.node).index(node)
        node.input[slot] = made
        model.graph.node.insert(where, new)


def fitting_nodes(model: Model, random: Random) -> None:
    """Put allowed operators on edges of the graph that fit there, whatever the edge's shape."""
    for _ in range(random.choice((1, 3, 12))):
        node = random.choice([each for each in model.graph.node if each.input])
        slot = random.randrange(min(2, len(node.input)))
        made = f"put{random.randrange(10**9)}"
        kind = random.choice(("Relu", "Sigmoid", "Clip", "Add", "Mul", "Cast", "both", "sum"))
        name = node.input[slot]
        zero = random.choice((np.uint8(0), np.int8(0), np.uint8(255), np.int8(-128)))
        scale = np.float32(random.choice((1, 0.1, 1e-3, 0, -1, np.nan, np.inf, 1e-42)))
        limit = np.float32(random.choice((0, 1, -1, np.nan)))
        for value, key in ((zero, "z"), (scale, "s"), (limit, "l")):
            model.graph.initializer.append(numpy_helper.from_array(np.array(value), f"{made}{key}"))
        step = [f"{made}s", f"{made}z"]
        nodes = {
            "Clip": [helper.make_node("Clip", [name, *[f"{made}l"] * random.randrange(3)], [made])],
            "Add": [helper.make_node("Add", [name, f"{made}l"], [made])],
            "Mul": [helper.make_node("Mul", [f"{made}s", name], [made])],
            "sum": [helper.make_node(random.choice(("Add", "Mul")), [name, name], [made])],
            "Cast": [helper.make_node("Cast", [name], [made], to=random.choice((1, 2, 3, 6, 10)))],
            "both": [
                helper.make_node("QuantizeLinear", [name, *step], [f"{made}q"]),
                helper.make_node("DequantizeLinear", [f"{made}q", *step], [made]),
            ],
        }.get(kind, [helper.make_node(kind, [name], [made])])
        where = list(model.graph.node).index(node)
        node.input[slot] = made
        for new in reversed(nodes):
            model.graph.node.insert(where, new)


def _weight(model: Model, random: Random) -> str:
    """Add a small tensor, or take one that is there."""
    if random.random() < 0.3:
        return str(random.choice(model.graph.initializer).name)
    shapes = [(), (1,), (10,), (256,), (784,), (10, 256), (256, 256), (256, 784), (1, 1, 3, 3)]
    kind = random.choice([np.float32, np.float32, np.uint8, np.int8, np.int64, np.float16])
    shape = random.choice(shapes) if kind != np.int64 else (random.randrange(1, 5),)
    values = np.full(shape, random.choice((0, 1, 2, 10)))
    if kind == np.int64 and random.random() < 0.7:
        values = np.array(random.choice([[-1, 256], [-1, 1, 16, 16], [0, -1], [-1, 784], [-1]]))
    name = f"weight{len(model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array(values.astype(kind), name))
    return name


def _attributes(operator: str, random: Random) -> dict[str, Any]:
    small = random.randrange(-2, 5)
    attributes: dict[str, dict[str, Any]] = {
        "Cast": {"to": random.choice(TYPES)},
        "Conv": {"pads": [small] * 4, "strides": [random.randrange(3)] * 2},
        "DepthToSpace": {"blocksize": small, "mode": random.choice(("CRD", "DCR", "x"))},
        "DequantizeLinear": {"axis": small},
        "Gather": {"axis": small},
        "Gemm": {"transA": random.randrange(2), "transB": random.randrange(2)},
        "QuantizeLinear": {"axis": small},
        "Reshape": {"allowzero": random.randrange(2)},
        "Transpose": {"perm": random.choice(([1, 0], [0, 1], [0, 2, 3, 1], [0], [0, 0]))},
    }
    return attributes.get(operator, {})


# Weights that an operator takes beside what comes along the edge.
ALLOWED: dict[str, int] = {
    **dict.fromkeys(("Cast", "DepthToSpace", "Relu", "Sigmoid", "Transpose"), 0),
    **dict.fromkeys(("Add", "Gather", "Mul", "Reshape"), 1),
    **dict.fromkeys(("Clip", "Conv", "DequantizeLinear", "Gemm", "QuantizeLinear"), 2),
}
FOREIGN: Sequence[str] = (
    "MatMul",
    "LSTM",
    "Softmax",
    "TopK",
    "Einsum",
    "NoSuch",
    "Loop",
    "Identity",
)

MUTATIONS: dict[str, Callable[[Model, Random], None]] = {
    "any field": any_field,
    "huge dimensions": huge_dimensions,
    "other sizes": other_sizes,
    "other values": other_values,
    "other types": other_types,
    "external data": external_data,
    "cyclic nodes": cyclic_nodes,
    "missing nodes": missing_nodes,
    "shuffled nodes": shuffled_nodes,
    "other operator": other_operator,
    "other inputs": other_inputs,
    "declared types": declared_types,
    "opsets": opsets,
    "metadata": metadata,
    "loops": loops,
    "memory bombs": memory_bombs,
    "bombs of allowed operators": allowed_bombs,
    "functions": functions,
    "attributes": attributes,
    "more nodes": more_nodes,
    "nodes that fit": fitting_nodes,
}
# What gets past the screen most often is tried most often: it is what onnxruntime then opens.
WEIGHTED = [
    *MUTATIONS,
    *4 * ["any field", "nodes that fit", "other values", "metadata"],
    "attributes",
]
WEIGHTED += 2 * ["other sizes", "other types", "other inputs", "attributes"]
