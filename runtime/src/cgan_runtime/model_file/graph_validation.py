"""Look into an ONNX file before onnxruntime opens it.

onnxruntime builds whatever graph a file describes: one that reads another file, that loops a
billion times, or that makes gigabytes of two numbers. None of these draws small images. So a file
is read here first, by a schema of the few fields that cgan-export writes, and its shapes are worked
out for a full batch. What is not in the tables below is refused, and so is what would need more
memory or work than a generator of small images does.
"""

import math
from collections.abc import Callable
from struct import unpack_from
from typing import Any, NamedTuple, TypeAlias

from cgan_runtime.errors import ModelError
from cgan_runtime.model_file.checksum import verify_checksum
from cgan_runtime.model_file.contract import IR_VERSION, NEWEST_OPSET, OPSET, check_version
from cgan_runtime.model_file.protobuf import (
    FIXED32,
    VARINT,
    Field,
    Message,
    ProtobufError,
    read,
    signed,
)

MOST_BYTES = 2**27  # of a file
MOST_METADATA = 2**23  # characters
MOST_NODES, MOST_TENSORS, MOST_AXES = 1024, 4096, 6
FULL_BATCH = 1024  # images; the bounds below are for so many
MOST_NUMBERS = 2**28  # of all tensors together: 2 GiB if each were an int64, and all were kept
MOST_PRODUCTS = 2**38  # multiplications

FLOAT, UINT8, INT8, INT32, INT64, FLOAT16 = 1, 2, 3, 6, 7, 10  # of TensorProto.DataType
BYTES = {FLOAT: 4, UINT8: 1, INT8: 1, INT32: 4, INT64: 8, FLOAT16: 2}  # a number of these takes

# onnx.proto, as far as cgan-export uses it. External data, subgraphs, functions, sparse tensors and
# the like are refused by not being here.
_TEXT, _NUMBER = Field(str), Field(VARINT)
_TEXTS, _NUMBERS = Field(str, several=True), Field(VARINT, several=True)
_DIMENSION = Field({1: _NUMBER, 2: _TEXT}, several=True)
_TYPE = Field({1: Field({1: _NUMBER, 2: Field({1: _DIMENSION})})})
_VALUE = Field({1: _TEXT, 2: _TYPE, 3: _TEXT}, several=True)
_ATTRIBUTE = Field(
    {1: _TEXT, 2: Field(FIXED32), 3: _NUMBER, 4: _TEXT, 8: _NUMBERS, 13: _TEXT, 20: _NUMBER},
    several=True,
)
_NODE = Field(
    {1: _TEXTS, 2: _TEXTS, 3: _TEXT, 4: _TEXT, 5: _ATTRIBUTE, 6: _TEXT, 7: _TEXT}, several=True
)
_TENSOR = Field({1: _NUMBERS, 2: _NUMBER, 8: _TEXT, 9: Field(bytes), 12: _TEXT}, several=True)
_GRAPH = Field({1: _NODE, 2: _TEXT, 5: _TENSOR, 10: _TEXT, 11: _VALUE, 12: _VALUE})
_OPSET = Field({1: _TEXT, 2: _NUMBER}, several=True)
_ENTRY = Field({1: _TEXT, 2: _TEXT}, several=True)
_MODEL = {
    **dict.fromkeys((1, 5), _NUMBER),
    **dict.fromkeys((2, 3, 4, 6), _TEXT),
    7: _GRAPH,
    8: _OPSET,
    14: _ENTRY,
}

Shape: TypeAlias = tuple[int, ...]


Cost: TypeAlias = tuple[Shape, int, int]  # the output's shape, multiplications, numbers beside it


class Node(NamedTuple):
    """A node, as far as its cost depends on it."""

    inputs: list[Shape]  # of those that are given
    attributes: dict[str, Any]  # by name: int, list of int, or str
    wanted: list[int] | None  # what its second input holds, where that is a short list of int64


class _RefusedError(Exception):
    """The graph is none that cgan-export writes; says why."""


def screen(content: bytes, source: str) -> str:
    """Refuse a file that cgan-export did not write, or that was changed since.

    Args:
        content: of the file.
        source: its name, for messages.

    Returns:
        The SHA-256 of the file.

    Raises:
        ModelError: it is no ONNX file, lacks the contract or follows another version of it, is not
            what was sealed, or holds a graph that is not in the tables above.
    """
    try:
        entries = read(content, {14: _ENTRY}, strict=False)[14]
    except ProtobufError as error:
        raise ModelError(
            f"{source} is not an ONNX model, is truncated or damaged ({error}); "
            "copy or export it again"
        ) from error
    check_version({entry.get(1, ""): entry.get(2, "") for entry in entries}, source)
    digest = verify_checksum(content, source)
    try:
        model = read(content, _MODEL)
        _check_head(model)
        _followed(content, model)
    except (ProtobufError, _RefusedError) as error:
        raise ModelError(
            f"{source} holds what cgan-export never writes ({error}); export it again"
        ) from error
    return digest


def _check_head(model: Message) -> None:
    opsets = [(each.get(1, ""), each.get(2, 0)) for each in model[8]]
    if len(opsets) != 1 or opsets[0][0] or not OPSET <= opsets[0][1] <= NEWEST_OPSET:
        raise _RefusedError(f"operator sets {opsets!r:.80}")
    if model.get(1) != IR_VERSION:
        raise _RefusedError(f"IR version {model.get(1)}")
    if sum(len(entry.get(1, "")) + len(entry.get(2, "")) for entry in model[14]) > MOST_METADATA:
        raise _RefusedError(f"more than {MOST_METADATA:,} characters of metadata")
    keys = [entry.get(1) for entry in model[14]]
    if len(set(keys)) != len(keys):
        raise _RefusedError("a metadata key twice")
    if 7 not in model:
        raise _RefusedError("no graph")


def _followed(content: bytes, model: Message) -> "_Course":
    """Follow the shapes through the graph, from its inputs to its outputs."""
    graph = model[7]
    nodes, tensors, inputs, outputs = graph[1], graph[5], graph[11], graph[12]
    if len(nodes) > MOST_NODES or len(tensors) > MOST_TENSORS or len(inputs + outputs) > MOST_AXES:
        raise _RefusedError(f"{len(nodes)} nodes, {len(tensors)} tensors")
    course = _Course()
    for value in inputs:
        course.add(value.get(1, ""), _declared(value))
    for tensor in tensors:
        course.add_tensor(content, tensor)
    for node in nodes:
        course.add_node(node)
    for value in outputs:
        if course.shapes.get(value.get(1, "")) != _declared(value):
            raise _RefusedError("an output of another shape than it says")
    return course


class _Course:
    """Follows the shapes through a graph, and adds up what it costs."""

    def __init__(self) -> None:
        self.shapes: dict[str, Shape] = {}  # by name
        self._lists: dict[str, list[int]] = {}  # what tensors of int64 hold, by name
        self._numbers = self._products = 0

    def add(self, name: str, shape: Shape) -> None:
        """Add an input, a tensor or an output of a node."""
        if not name or name in self.shapes:
            raise _RefusedError(f"{name!r:.40} twice")
        if len(shape) > MOST_AXES or min(shape, default=1) < 1:
            raise _RefusedError(f"{name!r:.40} of shape {list(shape)!r:.60}")
        self.shapes[name] = shape
        self._count(math.prod(shape), 0)

    def add_tensor(self, content: bytes, tensor: Message) -> None:
        """Add an initializer; it must hold as many bytes as its shape says."""
        name, shape = tensor.get(8, ""), tuple(map(signed, tensor[1]))
        self.add(name, shape)
        (start, end), kind = tensor.get(9, (0, 0)), tensor.get(2)
        if kind not in BYTES or end - start != BYTES[kind] * math.prod(shape):
            raise _RefusedError(f"tensor {name!r:.40} of another size than its shape says")
        if kind == INT64:
            if len(shape) != 1 or shape[0] > MOST_AXES:
                raise _RefusedError(f"int64 tensor {name!r:.40} that is no shape")
            self._lists[name] = list(unpack_from(f"<{shape[0]}q", content, start))

    def add_node(self, node: Message) -> None:
        """Add what a node makes of what is there."""
        names, made, kind, domain = node[1], node[2], node.get(4, ""), node.get(7, "")
        if domain or kind not in OPERATORS:
            raise _RefusedError(f"operator {kind!r:.40} of {domain!r:.40}")
        least, most, allowed, cost_of = OPERATORS[kind]
        attributes = {each.get(1, ""): _value(each) for each in node[5]}
        if not attributes.keys() <= allowed or len(attributes) != len(node[5]):
            raise _RefusedError(f"a {kind} with attributes {sorted(attributes)!r:.60}")
        if missing := [name for name in names if name not in self.shapes]:
            raise _RefusedError(f"a {kind} of {missing[0]!r:.40}, which is not there")
        if not least <= len(names) <= most or len(made) != 1:
            raise _RefusedError(f"a {kind} of {len(names)} inputs and {len(made)} outputs")
        known = [self.shapes[name] for name in names]
        wanted = self._lists.get(names[1]) if len(names) > 1 else None
        try:
            shape, products, numbers = cost_of(Node(known, attributes, wanted))
        except (ValueError, LookupError, TypeError) as error:
            raise _RefusedError(f"a {kind} whose inputs do not fit") from error
        self._count(numbers, products)
        self.add(made[0], shape)

    def _count(self, numbers: int, products: int) -> None:
        self._numbers, self._products = self._numbers + numbers, self._products + products
        if self._numbers > MOST_NUMBERS or self._products > MOST_PRODUCTS:
            raise _RefusedError(
                f"{self._numbers:,} numbers and {self._products:,} multiplications a batch"
            )


def _declared(value: Message) -> Shape:
    """Return the shape that an input or output says it has, with a full batch."""
    dimensions = value.get(2, {}).get(1, {}).get(2, {}).get(1, [])
    return tuple(FULL_BATCH if 2 in each else signed(each.get(1, 0)) for each in dimensions)


def _value(attribute: Message) -> Any:
    """Return what an attribute holds: int, str or a list of int; a float's bytes."""
    held = [number for number in (2, 3, 4) if number in attribute]
    if len(held) > 1 or (held and attribute[8]):
        raise _RefusedError("an attribute of several values")
    if held == [3]:
        return signed(attribute[3])
    return attribute[held[0]] if held else list(map(signed, attribute[8]))


def _same(node: Node) -> Cost:
    return node.inputs[0], 0, 0


def _cast(node: Node) -> Cost:
    if node.attributes["to"] == INT64 or node.attributes["to"] not in BYTES:
        raise ValueError
    return node.inputs[0], 0, 0


def _broadcast(node: Node) -> Cost:
    return _together(*node.inputs), 0, 0


def _together(one: Shape, other: Shape) -> Shape:
    """Return the shape of two that are broadcast against each other."""
    axes = max(len(one), len(other))
    pairs = zip((1,) * (axes - len(one)) + one, (1,) * (axes - len(other)) + other, strict=True)
    shape = []
    for a, b in pairs:
        if a != b and 1 not in (a, b):
            raise ValueError
        shape.append(max(a, b))
    return tuple(shape)


def _gather(node: Node) -> Cost:
    data, indices = node.inputs
    if node.attributes.get("axis", 0) != 0 or not data:
        raise ValueError
    return indices + data[1:], 0, 0


def _gemm(node: Node) -> Cost:
    (rows, inner), (other, columns) = node.inputs[:2]
    if node.attributes.get("transA", 0):
        rows, inner = inner, rows
    if node.attributes.get("transB", 0):
        other, columns = columns, other
    shape = rows, columns
    if inner != other or (len(node.inputs) > 2 and _together(shape, node.inputs[2]) != shape):
        raise ValueError
    return shape, rows * inner * columns, 0


def _matmul(node: Node) -> Cost:
    (rows, inner), (other, columns) = node.inputs
    if inner != other:
        raise ValueError
    return (rows, columns), rows * inner * columns, 0


def _conv(node: Node) -> Cost:
    (batch, channels, *size), (outputs, inputs, *kernel) = node.inputs[:2]
    pads, strides = node.attributes.get("pads", [0] * 4), node.attributes.get("strides", [1] * 2)
    dilations, group = node.attributes.get("dilations", [1] * 2), node.attributes.get("group", 1)
    fits = [
        len(size) == len(kernel) == len(strides) == len(dilations) == 2,
        len(pads) == 4 and min(pads) >= 0 and max(pads) < max(kernel),
        min(strides) >= 1 and min(dilations) >= 1 and group >= 1,
        channels == inputs * group and outputs % group == 0,
        node.attributes.get("kernel_shape", kernel) == kernel,
        node.attributes.get("auto_pad", "NOTSET") == "NOTSET",
        len(node.inputs) == 2 or node.inputs[2] == (outputs,),
    ]
    if not all(fits):
        raise ValueError
    places = [
        (size[axis] + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1)
        // strides[axis]
        + 1
        for axis in (0, 1)
    ]
    patches = inputs * math.prod(kernel) * math.prod(places)  # of an image and a group
    return (batch, outputs, *places), batch * outputs * patches, group * patches


def _reshape(node: Node) -> Cost:
    old, wanted = node.inputs[0], node.wanted
    if wanted is None or wanted.count(-1) > 1 or (0 in wanted and "allowzero" in node.attributes):
        raise ValueError
    shape = [old[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    known = math.prod(size for size in shape if size != -1)
    if min(shape) < -1 or math.prod(old) % known:
        raise ValueError
    shape = [math.prod(old) // known if size == -1 else size for size in shape]
    if math.prod(shape) != math.prod(old):
        raise ValueError
    return tuple(shape), 0, 0


def _transpose(node: Node) -> Cost:
    (shape,), order = node.inputs, node.attributes["perm"]
    if sorted(order) != list(range(len(shape))):
        raise ValueError
    return tuple(shape[axis] for axis in order), 0, 0


def _depth_to_space(node: Node) -> Cost:
    (batch, channels, height, width), side = node.inputs[0], node.attributes["blocksize"]
    if side < 1 or channels % side**2 or node.attributes.get("mode", "DCR") not in ("DCR", "CRD"):
        raise ValueError
    return (batch, channels // side**2, height * side, width * side), 0, 0


# Those that cgan-export writes, and Add and Clip, which a graph of float32 may end in. Inputs at
# least and at most, attributes, cost.
OPERATORS: dict[str, tuple[int, int, set[str], Callable[[Node], Cost]]] = {
    "Add": (2, 2, set(), _broadcast),
    "Cast": (1, 1, {"to"}, _cast),
    "Clip": (1, 3, set(), _same),
    "Conv": (2, 3, {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}, _conv),
    "DepthToSpace": (1, 1, {"blocksize", "mode"}, _depth_to_space),
    "DequantizeLinear": (2, 3, {"axis"}, _same),
    "Gather": (2, 2, {"axis"}, _gather),
    "Gemm": (2, 3, {"alpha", "beta", "transA", "transB"}, _gemm),
    "MatMul": (2, 2, set(), _matmul),
    "Mul": (2, 2, set(), _broadcast),
    "QuantizeLinear": (2, 3, {"axis"}, _same),
    "Relu": (1, 1, set(), _same),
    "Reshape": (2, 2, {"allowzero"}, _reshape),
    "Sigmoid": (1, 1, set(), _same),
    "Transpose": (1, 1, {"perm"}, _transpose),
}
