"""Mutants of ONNX files: damaged files and files that an attacker could make."""

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any
from zlib import compress

import bytes_mutants
import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from cgan_runtime.model_file.checksum import CHECKSUM_BYTES, add_checksum
from cgan_runtime.model_file.contract import PREFIX
from cgan_runtime.model_file.validation.rules import FLOAT, OPERATORS, Attribute

TEXTS = ["", "x", "noise", "label", "image", "batch", "ai.onnx", "com.microsoft", "../../../x"]
TEXTS += ["/etc/passwd", "NaN", "1", "2", "a\nb", "\x1b]0;x\x07", "é" * 50, "a" * 70_000, "\0"]
TYPES = (0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 16, 17, 23, 99)
# Operators with one input that keep the shape of a float tensor.
ACTIVATIONS = [
    name
    for name, operator in OPERATORS.items()
    if operator.rule in ("elementwise", "composed") and operator.output == "T"
    if FLOAT in operator.types and name not in ("Gelu", "Identity")
]
MEMORY_BOMBS: Sequence[tuple[str, list[str]]] = [
    *(("ConstantOfShape", ["size"]), ("Expand", ["one", "size"]), ("Tile", ["one", "size"])),
    *(("Range", ["size", "size", "size"]), ("RandomNormal", []), ("EyeLike", ["one"])),
    *(("Resize", ["one", "", "", "size"]), ("Pad", ["one", "size"])),
]
ATTRIBUTES = [*{name for operator in OPERATORS.values() for name in operator.attributes}]
ATTRIBUTES.sort()
DTYPES = (np.float32, np.float16, np.float64, np.uint8, np.int8, np.int32, np.int64, np.bool_)
PATHS = ("/etc/passwd", "../../../etc/passwd", "/dev/zero", "x", "", "/proc/self/mem")
WEIGHT_KINDS = ["enlarge dimensions", "use external data", "resize weights", "cast weights"]
WEIGHT_KINDS += ["set weights"]
NODE_KINDS = ["create cycle", "remove nodes", "shuffle nodes", "change operator"]
NODE_KINDS += ["change attribute"]
FORBIDDEN = ("LSTM", "TopK", "RandomNormalLike", "NoSuch", "Loop", "NonZero")
ZEROS = (np.uint8(0), np.int8(0), np.uint8(255), np.int8(-128))
Create = Callable[[ModelProto, str, str, Random], list[NodeProto]]


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


def _append_tensor(model: ModelProto, name: str, values: Any) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
    return name


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


def add_loop(model: ModelProto, random: Random) -> None:
    """Add a Loop, Scan or If, some of which never end."""
    types = {"i": TensorProto.INT64, "go": TensorProto.BOOL, "gone": TensorProto.BOOL}
    number, go, gone = (helper.make_tensor_value_info(*each, []) for each in types.items())
    nodes = [helper.make_node("Identity", ["go"], ["gone"])]
    body = helper.make_graph(nodes, "b", [number, go], [gone])
    _append_tensor(model, "trips", 2**62)
    _append_tensor(model, "true", True)
    nodes = [
        helper.make_node("Loop", ["trips", "true"], [], body=body),
        helper.make_node("If", ["true"], ["then"], then_branch=body, else_branch=body),
        helper.make_node("Scan", ["noise"], ["scanned"], body=body, num_scan_inputs=1),
    ]
    model.graph.node.insert(random.randrange(len(model.graph.node) + 1), random.choice(nodes))


def add_memory_bomb(model: ModelProto, random: Random) -> None:
    """Add an operator with a small input and a huge output."""
    operator, inputs = random.choice(MEMORY_BOMBS)
    _append_tensor(model, "size", [random.choice((2**20, 2**31, 2**40))])
    _append_tensor(model, "one", np.ones(1, np.float32))
    attributes: dict[str, Any] = {"shape": [2**40]} if operator == "RandomNormal" else {}
    model.graph.node.insert(0, helper.make_node(operator, inputs, ["bomb"], **attributes))


def add_allowed_memory_bomb(model: ModelProto, random: Random) -> None:
    """Build huge outputs from operators that graph validation allows."""
    count = random.choice((100, 10_000, 100_000))
    _append_tensor(model, "column", np.zeros((count, 1), np.float32))
    _append_tensor(model, "row", np.zeros((1, count), np.float32))
    operator = random.choice(("Gemm", "Add", "Mul"))
    model.graph.node.insert(0, helper.make_node(operator, ["column", "row"], ["bomb"]))
    for _ in range(random.choice((0, 3, 300))):
        output = f"bomb{len(model.graph.node)}"
        model.graph.node.insert(1, helper.make_node(operator, ["column", "row"], [output]))


def add_recursive_function(model: ModelProto, random: Random) -> None:
    name, domain = random.choice(("Gemm", "f")), random.choice(("", "d"))
    function = model.functions.add(name=name, domain=domain)
    function.node.add(op_type=function.name, domain=function.domain)
    node = random.choice(model.graph.node)
    node.op_type, node.domain = function.name, function.domain


def _insert(model: ModelProto, random: Random, create: Create, max_slots: int = 99) -> None:
    """Insert nodes before an input of a node; the last of them replaces the input."""
    node = random.choice([each for each in model.graph.node if each.input])
    slot = random.randrange(min(max_slots, len(node.input)))
    nodes = create(model, node.input[slot], f"put{random.randrange(10**9)}", random)
    index = list(model.graph.node).index(node)
    node.input[slot] = nodes[-1].output[0]
    for new in reversed(nodes):
        model.graph.node.insert(index, new)


def insert_nodes(model: ModelProto, random: Random) -> None:
    """Insert allowed operators, with weights and attributes that may not fit."""
    for _ in range(random.choice((1, 2, 6))):
        _insert(model, random, _create_node)


def _create_node(model: ModelProto, name: str, out: str, random: Random) -> list[NodeProto]:
    kind, operator = random.choice([*OPERATORS.items()])
    count = random.randint(operator.required, len(operator.inputs) + operator.variadic)
    inputs = [name, *(_weight(model, random) for _ in range(count - 1))][:count]
    attributes = {
        key: _attribute(each, random)
        for key, each in operator.attributes.items()
        if each.default is None or random.random() < 0.3
    }
    outputs = (
        [out] if kind != "Split" else [out, *(f"{out}.{i}" for i in range(random.randrange(3)))]
    )
    return [helper.make_node(kind, inputs, outputs, **attributes)]


def _attribute(attribute: Attribute, random: Random) -> Any:
    small = random.randrange(-2, 5)
    values: dict[str, Any] = {
        "float": random.choice((0.0, 1.0, -1.0, float("nan"), 1e30)),
        "int": random.choice((small, small, 0, 1, -1, 2**40)),
        "ints": [random.randrange(-1, 4) for _ in range(random.choice((1, 2, 2, 4)))],
        "tensor": numpy_helper.from_array(np.array([small], np.float32)),
        "text": random.choice([*attribute.choices, "x", "ij->ji", "bi,ij->bj", "...i->...i"]),
    }
    return values[attribute.kind]


def insert_fitting_nodes(model: ModelProto, random: Random) -> None:
    """Insert allowed operators that fit at every shape."""
    for _ in range(random.choice((1, 3, 12))):
        _insert(model, random, _create_fitting, max_slots=2)


def _create_fitting(model: ModelProto, name: str, out: str, random: Random) -> list[NodeProto]:
    zero, scale, limit = f"{out}z", f"{out}s", f"{out}l"
    scales = (1, 0.1, 1e-3, 0, -1, np.nan, np.inf, 1e-42)
    _append_tensor(model, zero, random.choice(ZEROS))
    _append_tensor(model, scale, np.float32(random.choice(scales)))
    _append_tensor(model, limit, np.float32(random.choice((0, 1, -1, np.nan))))
    axis = _append_tensor(model, f"{out}x", np.array([-1]))
    node = helper.make_node
    nodes = [
        [node(random.choice(ACTIVATIONS), [name], [out])],
        [node("Softmax", [name], [out])],
        [
            node("Greater", [name, limit], [f"{out}g"]),
            node("Where", [f"{out}g", name, limit], [out]),
        ],
        [node("Shape", [name], [f"{out}n"]), node("Reshape", [name, f"{out}n"], [out])],
        [node("Shape", [name], [f"{out}n"]), node("Expand", [name, f"{out}n"], [out])],
        [node("Unsqueeze", [name, axis], [f"{out}u"]), node("Squeeze", [f"{out}u", axis], [out])],
        [
            node("Split", [name], [f"{out}a", f"{out}b"], axis=-1, num_outputs=2),
            node("Concat", [f"{out}b", f"{out}a"], [out], axis=-1),
        ],
        [
            node("ReduceMean", [name, axis], [f"{out}m"]),
            node("Sub", [name, f"{out}m"], [out]),
        ],
        [node("Clip", [name, *[limit] * random.randrange(3)], [out])],
        [node("Add", [name, limit], [out])],
        [node("Mul", [scale, name], [out])],
        [node(random.choice(("Add", "Mul")), [name, name], [out])],
        [node("Cast", [name], [out], to=random.choice((1, 2, 3, 6, 10)))],
        [
            node("QuantizeLinear", [name, scale, zero], [f"{out}q"]),
            node("DequantizeLinear", [f"{out}q", scale, zero], [out]),
        ],
    ]
    return random.choice(nodes)


def _weight(model: ModelProto, random: Random) -> str:
    """Add a small tensor or choose an existing one; return its name."""
    if random.random() < 0.3:
        return str(random.choice(model.graph.initializer).name)
    shapes = [(), (1,), (10,), (256,), (784,), (10, 256), (256, 256), (256, 784), (1, 1, 3, 3)]
    dtype = random.choice([np.float32, np.float32, np.uint8, np.int8, np.int64, np.float16])
    shape = random.choice(shapes) if dtype != np.int64 else (random.randrange(1, 5),)
    values = np.full(shape, random.choice((0, 1, 2, 10)))
    if dtype == np.int64 and random.random() < 0.7:
        targets = [[-1, 256], [-1, 1, 16, 16], [0, -1], [-1, 784], [-1], [0], [1], [1, -1], [2, 3]]
        values = np.array(random.choice([*targets, [0, 0, 1, 1, 0, 0, 1, 1], [2**40]]))
    return _append_tensor(model, f"weight{len(model.graph.initializer)}", values.astype(dtype))


MODEL_MUTATIONS = {
    mutation.__name__.replace("_", " "): mutation
    for mutation in (
        *(change_any_field, change_input, change_declared_type, change_opset, change_metadata),
        *(add_loop, add_memory_bomb, add_allowed_memory_bomb, add_recursive_function),
        *(insert_nodes, insert_fitting_nodes),
    )
}
# Mutations that often pass graph validation are more frequent, because they test onnxruntime too.
KINDS = [
    *(*MODEL_MUTATIONS, *WEIGHT_KINDS, *NODE_KINDS),
    *4 * ["change any field", "insert fitting nodes", "set weights", "change metadata"],
    *3 * ["change attribute"],
    *2 * ["resize weights", "cast weights", "change input"],
]
