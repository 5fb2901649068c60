"""Graph validation: check an ONNX file before onnxruntime opens it.

onnxruntime runs any graph that a file describes, including one that reads another file, loops a
billion times, or computes gigabytes from two numbers. So this module first reads the file with a
schema of the few fields that cgan-export writes, and infers all types and shapes. It rejects
everything that rules.py does not list, and graphs that need more memory or computation than a
generator of small images. web/src/validation.js is the same for the web page.
"""

from struct import unpack_from
from typing import Any, NamedTuple, NoReturn

from cgan_runtime.errors import ModelError
from cgan_runtime.model_file.checksum import verify_checksum
from cgan_runtime.model_file.contract import (
    IR_VERSION,
    MAX_BATCH,
    MAX_OPSET,
    OPSET,
    TensorSpec,
    check_version,
)
from cgan_runtime.model_file.messages import message
from cgan_runtime.model_file.protobuf import Message, ProtobufError, read_message
from cgan_runtime.model_file.rules import (
    ATTRIBUTE_KINDS,
    BYTES,
    INT64,
    MAX_AXES,
    MAX_ELEMENTS,
    MAX_INPUTS_AND_OUTPUTS,
    MAX_METADATA,
    MAX_MULTIPLICATIONS,
    MAX_NODES,
    MAX_TENSORS,
    METADATA_SCHEMA,
    MODEL_SCHEMA,
    OPERATORS,
    TYPE_NAMES,
    UINT8,
    Operator,
)
from cgan_runtime.model_file.shape_inference import RULES, MisfitError, Node, Shape, Tensor

MAX_SHOWN = 40  # characters of a name in a message


class _InvalidGraphError(Exception):
    """The graph is not one that cgan-export writes; the text says why."""


def validate_model(content: bytes, source: str) -> str:
    """Check that a file has the form that cgan-export writes; return its SHA-256.

    Raises:
        ModelError: the file is not an ONNX model, lacks the version CONTRACT_VERSION, does not
            match its checksum, or holds a graph that rules.py does not allow.
    """
    try:
        entries = read_message(content, METADATA_SCHEMA, strict=False)[14]
    except ProtobufError as error:
        raise ModelError(message("not a model", source=source, reason=error)) from error
    check_version({entry.get(1, ""): entry.get(2, "") for entry in entries}, source)
    digest = verify_checksum(content, source)
    try:
        infer_shapes(content)
    except (ProtobufError, _InvalidGraphError) as error:
        raise ModelError(message("not written", source=source, reason=error)) from error
    return digest


def infer_shapes(content: bytes) -> dict[str, Shape]:
    """Return the shapes of all tensors by name, for MAX_BATCH images, after validating a graph."""
    model = read_message(content, MODEL_SCHEMA)
    _check_header(model)
    graph = model[7]
    nodes, tensors, inputs, outputs = graph[1], graph[5], graph[11], graph[12]
    counts = {"nodes": len(nodes), "tensors": len(tensors), "values": len(inputs + outputs)}
    limits = MAX_NODES, MAX_TENSORS, MAX_INPUTS_AND_OUTPUTS
    if any(count > limit for count, limit in zip(counts.values(), limits, strict=True)):
        _reject("too many parts", **counts)
    inference = _Inference()
    for value in inputs:
        inference.add(value.get(1, ""), _declared(value), _declared_type(value))
    for tensor in tensors:
        inference.add_tensor(content, tensor)
    for node in nodes:
        inference.add_node(node)
    for value in outputs:
        known = inference.known.get(value.get(1, ""))
        if known is None or known.tensor != _declared(value):
            _reject("output shape")
        if known.type != _declared_type(value):
            _reject("output type")
    return {name: known.tensor.sizes for name, known in inference.known.items()}


def declared_specs(content: bytes) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Return the inputs and outputs that a valid file declares, as onnxruntime reports them."""
    graph = read_message(content, MODEL_SCHEMA)[7]

    def spec(value: Message) -> TensorSpec:
        shape = [axis.get(2, axis.get(1)) for axis in _dimensions(value)]
        return TensorSpec(value[1], f"tensor({TYPE_NAMES[_declared_type(value)]})", shape)

    return [spec(value) for value in graph[11]], [spec(value) for value in graph[12]]


def _reject(name: str, /, **values: object) -> NoReturn:
    raise _InvalidGraphError(message(name, **values))


def _quoted(text: str) -> str:
    return repr(text)[:MAX_SHOWN]


def _check_header(model: Message) -> None:
    names = [f"{each[1]} " if each.get(1) else "" for each in model[8]]
    opsets = [f"{name}{each.get(2, 0)}" for name, each in zip(names, model[8], strict=True)]
    if opsets not in [[str(opset)] for opset in range(OPSET, MAX_OPSET + 1)]:
        _reject("operator sets", opsets=_quoted(", ".join(opsets)))
    if model.get(1) != IR_VERSION:
        _reject("IR version", version=model.get(1))
    if sum(len(entry.get(1, "")) + len(entry.get(2, "")) for entry in model[14]) > MAX_METADATA:
        _reject("too much metadata", limit=f"{MAX_METADATA:,}")
    keys = [entry.get(1, "") for entry in model[14]]
    if len(set(keys)) != len(keys):
        _reject("duplicate key")
    if 7 not in model:
        _reject("no graph")


class _Known(NamedTuple):
    """What is known about a tensor."""

    tensor: Tensor
    type: int
    is_constant: bool = False  # onnxruntime computes it when it opens the file


class _Inference:
    """Infers the types and shapes of a graph's tensors and adds up the cost of its nodes."""

    def __init__(self) -> None:
        self.known: dict[str, _Known] = {}  # by name
        self._constants: dict[str, list[int]] = {}  # values of int64 initializers, by name
        self._elements = self._multiplications = 0

    def add(self, name: str, tensor: Tensor, kind: int, *, is_constant: bool = False) -> None:
        """Add an input, an initializer or the output of a node."""
        if not name:
            _reject("nameless")
        if name in self.known:
            _reject("defined twice", name=_quoted(name))
        if len(tensor.shape) > MAX_AXES or min(tensor.shape, default=1) < 1:
            shape = "[{}]".format(", ".join(map(str, tensor.shape[: MAX_AXES + 1])))
            _reject("shape", name=_quoted(name), shape=shape)
        if kind not in TYPE_NAMES:
            _reject("tensor type", name=_quoted(name), type=kind)
        self.known[name] = _Known(tensor, kind, is_constant)
        self._count(tensor.elements, 0)

    def add_tensor(self, content: bytes, tensor: Message) -> None:
        """Add an initializer, whose number of bytes must match its shape."""
        name, shape, kind = tensor.get(8, ""), tuple(tensor[1]), tensor.get(2, 0)
        self.add(name, Tensor(shape), kind, is_constant=True)
        start, end = tensor.get(9, (0, 0))
        if end - start != BYTES[kind] * Tensor(shape).elements:
            _reject("tensor size", name=_quoted(name))
        if kind == INT64:  # only Reshape has one: its target shape
            if len(shape) != 1 or shape[0] > MAX_AXES:
                _reject("not a target shape", name=_quoted(name))
            self._constants[name] = list(unpack_from(f"<{shape[0]}q", content, start))

    def add_node(self, node: Message) -> None:
        """Add a node, whose inputs must have been added before."""
        names, outputs, kind, domain = node[1], node[2], node.get(4, ""), node.get(7, "")
        if domain or kind not in OPERATORS:
            _reject("operator", operator=_quoted(kind), domain=_quoted(domain))
        operator = OPERATORS[kind]
        attributes = _read_attributes(node[5], kind, operator)
        if missing := [name for name in names if name not in self.known]:
            _reject("undefined input", operator=kind, name=_quoted(missing[0]))
        if not operator.required <= len(names) <= len(operator.inputs) or len(outputs) != 1:
            _reject("counts", operator=kind, inputs=len(names), outputs=len(outputs))
        inputs = [self.known[name] for name in names]
        type_of = _check_types(kind, operator, [each.type for each in inputs])
        constant = self._constants.get(names[1]) if len(names) > 1 else None
        try:
            tensors = [each.tensor for each in inputs]
            cost = RULES[operator.rule](Node(tensors, attributes, constant))
        except MisfitError as error:
            raise _InvalidGraphError(message("misfit", operator=kind)) from error
        is_constant = all(each.is_constant for each in inputs)
        if is_constant:
            # onnxruntime computes the result while it opens the file, and keeps it twice. That may
            # take no longer than the work for one image.
            self._count(cost.output.elements, cost.multiplications * (MAX_BATCH - 1))
        self._count(cost.temporary, cost.multiplications)
        result = attributes["to"] if operator.output == "to" else type_of[operator.output]
        self.add(outputs[0], cost.output, result, is_constant=is_constant)

    def _count(self, elements: int, multiplications: int) -> None:
        self._elements += elements
        self._multiplications += multiplications
        if self._elements > MAX_ELEMENTS or self._multiplications > MAX_MULTIPLICATIONS:
            _reject(
                "too much work",
                elements=f"{self._elements:,}",
                multiplications=f"{self._multiplications:,}",
            )


def _dimensions(value: Message) -> list[Message]:
    axes: list[Message] = value.get(2, {}).get(1, {}).get(2, {}).get(1, [])
    return axes


def _declared(value: Message) -> Tensor:
    """Return the declared shape of an input or output; only its first axis may be the batch."""
    axes = _dimensions(value)
    batched = len(axes) > 0 and axes[0].keys() == {2}
    shape = [0 if 2 in axis else axis.get(1, 0) for axis in axes]
    return Tensor((1, *shape[1:]) if batched else tuple(shape), batched)


def _declared_type(value: Message) -> int:
    kind: int = value.get(2, {}).get(1, {}).get(1, 0)
    return kind


def _read_attributes(entries: list[Message], kind: str, operator: Operator) -> dict[str, Any]:
    """Return the values of an operator's attributes by name, with the defaults of absent ones."""
    values = {name: each.default for name, each in operator.attributes.items()}
    seen: set[str] = set()
    for entry in entries:
        name = entry.get(1, "")
        if name not in values or name in seen:
            _reject("attribute", operator=kind, attribute=_quoted(name))
        seen.add(name)
        expected, _, choices = operator.attributes[name]
        field, number = ATTRIBUTE_KINDS[expected]
        given = {each for each in (2, 3, 4, 8) if entry.get(each, []) != []}
        is_empty = expected == "ints" and not given
        value = entry[field] if field in given or is_empty else None
        if value is None or len(given) > 1 or entry.get(20) != number:
            _reject("attribute value", operator=kind, attribute=_quoted(name))
        if choices and value not in choices:
            _reject("attribute value", operator=kind, attribute=_quoted(name))
        values[name] = value
    for name, value in values.items():
        if value is None:
            _reject("missing attribute", operator=kind, attribute=_quoted(name))
    return values


def _check_types(kind: str, operator: Operator, types: list[int]) -> dict[str, int]:
    """Return the value of each type variable; reject inputs of another type."""
    type_of = {"Q": UINT8}  # without a zero point, QuantizeLinear returns uint8
    for variable, actual in zip(operator.inputs, types, strict=False):
        first = operator.inputs.index(variable)
        if actual not in operator.types[variable] or actual != types[first]:
            _reject("input type", operator=kind, type=TYPE_NAMES[actual])
        type_of[variable] = actual
    return type_of
