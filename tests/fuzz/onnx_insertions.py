"""Mutations that insert nodes into an ONNX graph: allowed operators, loops, memory bombs."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from cgan_runtime.model_file.validation.rules import FLOAT, OPERATORS, Attribute

# Operators with one input that keep the shape of a float tensor.
ACTIVATIONS = [
    name
    for name, operator in OPERATORS.items()
    if operator.rule in ("elementwise", "composed") and operator.output == "T"
    if FLOAT in operator.types and name not in ("Gelu", "Identity")
]
MEMORY_BOMBS: Sequence[tuple[str, list[str]]] = [
    ("ConstantOfShape", ["size"]),
    ("Expand", ["one", "size"]),
    ("Tile", ["one", "size"]),
    ("Range", ["size", "size", "size"]),
    ("RandomNormal", []),
    ("EyeLike", ["one"]),
    ("Resize", ["one", "", "", "size"]),
    ("Pad", ["one", "size"]),
]
ZEROS = (np.uint8(0), np.int8(0), np.uint8(255), np.int8(-128))
Create = Callable[[ModelProto, str, str, Random], list[NodeProto]]


def _append_tensor(model: ModelProto, name: str, values: Any) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
    return name


def add_loop(model: ModelProto, random: Random) -> None:
    """Add a Loop, which never ends, a Scan or an If."""
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
        _insert(model, random, _create_random_node)


def _create_random_node(model: ModelProto, name: str, out: str, random: Random) -> list[NodeProto]:
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
        "string": random.choice([*attribute.choices, "x", "ij->ji", "bi,ij->bj", "...i->...i"]),
    }
    return values[attribute.kind]


def insert_fitting_nodes(model: ModelProto, random: Random) -> None:
    """Insert allowed operators that fit at every shape."""
    for _ in range(random.choice((1, 3, 12))):
        _insert(model, random, _create_valid_nodes, max_slots=2)


def _create_valid_nodes(model: ModelProto, name: str, out: str, random: Random) -> list[NodeProto]:
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
