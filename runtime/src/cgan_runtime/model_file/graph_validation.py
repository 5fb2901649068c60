"""Graph validation: check an ONNX file before onnxruntime opens it.

onnxruntime runs any graph that a file describes, including one that reads another file, loops a
billion times, or computes gigabytes from two numbers. So this module first reads the file with a
schema of the few fields that cgan-export writes, and infers all shapes for the largest batch. It
rejects everything that the tables below do not list, and graphs that need more memory or
computation than a generator of small images.
"""

import math
from collections.abc import Callable
from itertools import zip_longest
from struct import unpack_from
from typing import Any, NamedTuple, TypeAlias

from cgan_runtime.errors import ModelError
from cgan_runtime.model_file.checksum import verify_checksum
from cgan_runtime.model_file.contract import IR_VERSION, MAX_BATCH, MAX_OPSET, OPSET, check_version
from cgan_runtime.model_file.protobuf import Field, Message, ProtobufError, read_message

MAX_FILE_BYTES = 2**27
MAX_METADATA = 2**23  # characters
MAX_NODES, MAX_TENSORS, MAX_AXES = 1024, 4096, 6
MAX_INPUTS_AND_OUTPUTS = 6
# For a batch of MAX_BATCH images:
MAX_ELEMENTS = 2**28  # of all tensors together: 2 GiB if all were int64 and kept in memory
MAX_MULTIPLICATIONS = 2**38

FLOAT, UINT8, INT8, INT32, INT64, FLOAT16 = 1, 2, 3, 6, 7, 10  # of TensorProto.DataType
BYTES = {FLOAT: 4, UINT8: 1, INT8: 1, INT32: 4, INT64: 8, FLOAT16: 2}  # of one element

# The part of onnx.proto that cgan-export uses. External data, subgraphs, functions and sparse
# tensors are rejected because their fields are missing here.
_TEXT, _NUMBER = Field(str), Field(int)
_TEXTS, _NUMBERS = Field(str, repeated=True), Field(int, repeated=True)
_DIMENSION = Field({1: _NUMBER, 2: _TEXT}, repeated=True)
_TYPE = Field({1: Field({1: _NUMBER, 2: Field({1: _DIMENSION})})})
_VALUE = Field({1: _TEXT, 2: _TYPE, 3: _TEXT}, repeated=True)
_ATTRIBUTE = Field(
    {1: _TEXT, 2: Field(float), 3: _NUMBER, 4: _TEXT, 8: _NUMBERS, 13: _TEXT, 20: _NUMBER},
    repeated=True,
)
_NODE = Field(
    {1: _TEXTS, 2: _TEXTS, 3: _TEXT, 4: _TEXT, 5: _ATTRIBUTE, 6: _TEXT, 7: _TEXT}, repeated=True
)
_TENSOR = Field({1: _NUMBERS, 2: _NUMBER, 8: _TEXT, 9: Field(bytes), 12: _TEXT}, repeated=True)
_GRAPH = Field({1: _NODE, 2: _TEXT, 5: _TENSOR, 10: _TEXT, 11: _VALUE, 12: _VALUE})
_OPSET = Field({1: _TEXT, 2: _NUMBER}, repeated=True)
_ENTRY = Field({1: _TEXT, 2: _TEXT}, repeated=True)
_HEADER = dict.fromkeys((1, 5), _NUMBER) | dict.fromkeys((2, 3, 4, 6), _TEXT)
MODEL_SCHEMA = _HEADER | {7: _GRAPH, 8: _OPSET, 14: _ENTRY}

Shape: TypeAlias = tuple[int, ...]


class Node(NamedTuple):
    """The properties of a node that determine its output shape and cost."""

    inputs: list[Shape]  # the shapes of its inputs
    attributes: dict[str, Any]  # by name: int, list of int, or str
    constant: list[int] | None  # value of its second input, if that is an int64 initializer


class Cost(NamedTuple):
    """What a node computes for a batch of MAX_BATCH images."""

    shape: Shape  # of the output
    multiplications: int = 0
    temporary: int = 0  # elements of temporary tensors


class _InvalidGraphError(Exception):
    """The graph is not one that cgan-export writes; the text says why."""


def validate_model(content: bytes, source: str) -> str:
    """Check that a file has the form that cgan-export writes; return its SHA-256.

    Raises:
        ModelError: the file is not an ONNX model, lacks the version CONTRACT_VERSION, does not
            match its checksum, or holds a graph that the tables of this module do not allow.
    """
    try:
        entries = read_message(content, {14: _ENTRY}, strict=False)[14]
    except ProtobufError as error:
        raise ModelError(
            f"{source} is not an ONNX model, or is truncated or damaged ({error}); "
            "copy or export it again"
        ) from error
    check_version({entry.get(1, ""): entry.get(2, "") for entry in entries}, source)
    digest = verify_checksum(content, source)
    try:
        infer_shapes(content)
    except (ProtobufError, _InvalidGraphError) as error:
        raise ModelError(
            f"{source} contains something that cgan-export does not write ({error}); "
            "export it again"
        ) from error
    return digest


def infer_shapes(content: bytes) -> dict[str, Shape]:
    """Return the shapes of all tensors of an ONNX file by name, after validating its graph."""
    model = read_message(content, MODEL_SCHEMA)
    _check_header(model)
    graph = model[7]
    nodes, tensors, inputs, outputs = graph[1], graph[5], graph[11], graph[12]
    counts = len(nodes), len(tensors), len(inputs + outputs)
    limits = MAX_NODES, MAX_TENSORS, MAX_INPUTS_AND_OUTPUTS
    if any(count > limit for count, limit in zip(counts, limits, strict=True)):
        raise _InvalidGraphError(
            "too large: {} nodes, {} tensors, {} inputs and outputs".format(*counts)
        )
    inference = _ShapeInference()
    for value in inputs:
        inference.add(value.get(1, ""), _declared_shape(value))
    for tensor in tensors:
        inference.add_tensor(content, tensor)
    for node in nodes:
        inference.add_node(node)
    for value in outputs:
        if inference.shapes.get(value.get(1, "")) != _declared_shape(value):
            raise _InvalidGraphError("an output whose shape differs from its declaration")
    return inference.shapes


def _check_header(model: Message) -> None:
    opsets = [(each.get(1, ""), each.get(2, 0)) for each in model[8]]
    if len(opsets) != 1 or opsets[0][0] or not OPSET <= opsets[0][1] <= MAX_OPSET:
        raise _InvalidGraphError(f"operator sets {opsets!r:.80}")
    if model.get(1) != IR_VERSION:
        raise _InvalidGraphError(f"IR version {model.get(1)}")
    if sum(len(entry.get(1, "")) + len(entry.get(2, "")) for entry in model[14]) > MAX_METADATA:
        raise _InvalidGraphError(f"more than {MAX_METADATA:,} characters of metadata")
    keys = [entry.get(1) for entry in model[14]]
    if len(set(keys)) != len(keys):
        raise _InvalidGraphError("a duplicate metadata key")
    if 7 not in model:
        raise _InvalidGraphError("no graph")


class _ShapeInference:
    """Infers the shapes of a graph's tensors and adds up the cost of its nodes."""

    def __init__(self) -> None:
        self.shapes: dict[str, Shape] = {}  # by name
        self._constants: dict[str, list[int]] = {}  # values of int64 initializers, by name
        self._elements = self._multiplications = 0

    def add(self, name: str, shape: Shape) -> None:
        """Add an input, an initializer or the output of a node."""
        if not name or name in self.shapes:
            reason = "defined twice" if name else "without a name"
            raise _InvalidGraphError(f"tensor {name!r:.40} {reason}")
        if len(shape) > MAX_AXES or min(shape, default=1) < 1:
            raise _InvalidGraphError(f"tensor {name!r:.40} of shape {list(shape)!r:.60}")
        self.shapes[name] = shape
        self._count(math.prod(shape), 0)

    def add_tensor(self, content: bytes, tensor: Message) -> None:
        """Add an initializer, whose number of bytes must match its shape."""
        name, shape = tensor.get(8, ""), tuple(tensor[1])
        self.add(name, shape)
        (start, end), kind = tensor.get(9, (0, 0)), tensor.get(2)
        if kind not in BYTES or end - start != BYTES[kind] * math.prod(shape):
            raise _InvalidGraphError(f"tensor {name!r:.40} whose size does not match its shape")
        if kind == INT64:  # only Reshape has one: its target shape
            if len(shape) != 1 or shape[0] > MAX_AXES:
                raise _InvalidGraphError(f"int64 tensor {name!r:.40} that is not a shape")
            self._constants[name] = list(unpack_from(f"<{shape[0]}q", content, start))

    def add_node(self, node: Message) -> None:
        """Add a node, whose inputs must have been added before."""
        names, outputs, kind, domain = node[1], node[2], node.get(4, ""), node.get(7, "")
        if domain or kind not in OPERATORS:
            raise _InvalidGraphError(f"operator {kind!r:.40} of domain {domain!r:.40}")
        minimum, maximum, allowed, cost_of = OPERATORS[kind]
        attributes = {each.get(1, ""): _attribute_value(each) for each in node[5]}
        if not attributes.keys() <= allowed or len(attributes) != len(node[5]):
            raise _InvalidGraphError(f"operator {kind} with attributes {sorted(attributes)!r:.60}")
        if missing := [name for name in names if name not in self.shapes]:
            raise _InvalidGraphError(f"operator {kind} with undefined input {missing[0]!r:.40}")
        if not minimum <= len(names) <= maximum or len(outputs) != 1:
            raise _InvalidGraphError(
                f"operator {kind} with {len(names)} inputs and {len(outputs)} outputs"
            )
        shapes = [self.shapes[name] for name in names]
        constant = self._constants.get(names[1]) if len(names) > 1 else None
        try:
            cost = cost_of(Node(shapes, attributes, constant))
        except (ValueError, LookupError, TypeError) as error:
            raise _InvalidGraphError(f"operator {kind} whose inputs do not fit") from error
        self._count(cost.temporary, cost.multiplications)
        self.add(outputs[0], cost.shape)

    def _count(self, elements: int, multiplications: int) -> None:
        self._elements += elements
        self._multiplications += multiplications
        if self._elements > MAX_ELEMENTS or self._multiplications > MAX_MULTIPLICATIONS:
            raise _InvalidGraphError(
                f"too large: {self._elements:,} tensor elements and {self._multiplications:,} "
                "multiplications per batch"
            )


def _declared_shape(value: Message) -> Shape:
    """Return the declared shape of an input or output, with the largest batch."""
    dimensions = value.get(2, {}).get(1, {}).get(2, {}).get(1, [])
    return tuple(MAX_BATCH if 2 in each else each.get(1, 0) for each in dimensions)


def _attribute_value(attribute: Message) -> Any:
    """Return the value of an attribute: int, str, list of int, or the bytes of a float."""
    values = [attribute[number] for number in (2, 3, 4) if number in attribute]
    if len(values) > 1 or (values and attribute[8]):
        raise _InvalidGraphError("an attribute with several values")
    return values[0] if values else attribute[8]


# The functions below infer an operator's output shape. They raise ValueError, LookupError or
# TypeError if the inputs or attributes do not fit.


def _elementwise(node: Node) -> Cost:
    return Cost(node.inputs[0])


def _cast(node: Node) -> Cost:
    if node.attributes["to"] == INT64 or node.attributes["to"] not in BYTES:
        raise ValueError
    return Cost(node.inputs[0])


def _broadcast(node: Node) -> Cost:
    return Cost(_broadcast_shape(*node.inputs))


def _broadcast_shape(one: Shape, other: Shape) -> Shape:
    pairs = list(zip_longest(reversed(one), reversed(other), fillvalue=1))
    if any(a != b and 1 not in (a, b) for a, b in pairs):
        raise ValueError
    return tuple(map(max, reversed(pairs)))


def _gather(node: Node) -> Cost:
    data, indices = node.inputs
    if node.attributes.get("axis", 0) != 0 or not data:
        raise ValueError
    return Cost(indices + data[1:])


def _gemm(node: Node) -> Cost:
    (rows, inner), (other, columns) = node.inputs[:2]
    if node.attributes.get("transA", 0):
        rows, inner = inner, rows
    if node.attributes.get("transB", 0):
        other, columns = columns, other
    shape = rows, columns
    if inner != other or any(_broadcast_shape(shape, bias) != shape for bias in node.inputs[2:]):
        raise ValueError
    return Cost(shape, rows * inner * columns)


def _conv(node: Node) -> Cost:
    (batch, channels, *size), (outputs, inputs, *kernel) = node.inputs[:2]
    pads, strides = node.attributes.get("pads", [0] * 4), node.attributes.get("strides", [1] * 2)
    dilations, group = node.attributes.get("dilations", [1] * 2), node.attributes.get("group", 1)
    valid = [
        len(size) == len(kernel) == len(strides) == len(dilations) == 2,
        len(pads) == 4 and min(pads) >= 0 and max(pads) < max(kernel),
        min(strides) >= 1 and min(dilations) >= 1 and group >= 1,
        channels == inputs * group and outputs % group == 0,
        node.attributes.get("kernel_shape", kernel) == kernel,
        node.attributes.get("auto_pad", "NOTSET") == "NOTSET",
        all(bias == (outputs,) for bias in node.inputs[2:]),
    ]
    if not all(valid):
        raise ValueError
    positions = [
        (size[i] + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i in (0, 1)  # the axes of the image
    ]
    # onnxruntime copies the input patches of an image to a matrix (im2col) for each group. This is
    # the number of elements of one such matrix.
    patches = inputs * math.prod(kernel) * math.prod(positions)
    return Cost((batch, outputs, *positions), batch * outputs * patches, group * patches)


def _reshape(node: Node) -> Cost:
    old, new = node.inputs[0], node.constant
    if new is None or new.count(-1) > 1 or (0 in new and "allowzero" in node.attributes):
        raise ValueError
    shape = [old[axis] if size == 0 else size for axis, size in enumerate(new)]
    known = math.prod(size for size in shape if size != -1)
    shape = [math.prod(old) // known if size == -1 else size for size in shape]
    if min(shape) < 1 or math.prod(shape) != math.prod(old):
        raise ValueError
    return Cost(tuple(shape))


def _transpose(node: Node) -> Cost:
    (shape,), order = node.inputs, node.attributes["perm"]
    if sorted(order) != list(range(len(shape))):
        raise ValueError
    return Cost(tuple(shape[axis] for axis in order))


def _depth_to_space(node: Node) -> Cost:
    (batch, channels, height, width), side = node.inputs[0], node.attributes["blocksize"]
    if side < 1 or channels % side**2 or node.attributes.get("mode", "DCR") not in ("DCR", "CRD"):
        raise ValueError
    return Cost((batch, channels // side**2, height * side, width * side))


# The operators that cgan-export writes, and Add and Clip for simple graphs, such as those of tests.
# Each has a minimum and a maximum number of inputs, its allowed attributes, and its cost function.
OPERATORS: dict[str, tuple[int, int, set[str], Callable[[Node], Cost]]] = {
    "Add": (2, 2, set(), _broadcast),
    "Cast": (1, 1, {"to"}, _cast),
    "Clip": (1, 3, set(), _elementwise),
    "Conv": (2, 3, {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}, _conv),
    "DepthToSpace": (1, 1, {"blocksize", "mode"}, _depth_to_space),
    "DequantizeLinear": (2, 3, {"axis"}, _elementwise),
    "Gather": (2, 2, {"axis"}, _gather),
    "Gemm": (2, 3, {"alpha", "beta", "transA", "transB"}, _gemm),
    "MatMul": (2, 2, set(), _gemm),
    "Mul": (2, 2, set(), _broadcast),
    "QuantizeLinear": (2, 3, {"axis"}, _elementwise),
    "Relu": (1, 1, set(), _elementwise),
    "Reshape": (2, 2, {"allowzero"}, _reshape),
    "Sigmoid": (1, 1, set(), _elementwise),
    "Transpose": (1, 1, {"perm"}, _transpose),
}
