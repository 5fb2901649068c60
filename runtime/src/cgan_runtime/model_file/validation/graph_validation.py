"""Graph validation: check an ONNX file before onnxruntime opens it.

onnxruntime runs any graph that a file describes, including one that reads another file, loops a
billion times, or computes gigabytes from two numbers. So this module first reads the file with a
schema of the few fields that cgan-export writes, and infers all types and shapes. It rejects
everything that rules.py does not list, and graphs that need more memory or computation than a
generator of small images. web/src/validation.js is the same for the web page.
"""

from typing import NamedTuple

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
from cgan_runtime.model_file.validation.graph_inference import GraphInference, Known
from cgan_runtime.model_file.validation.node_reading import (
    InvalidGraphError,
    UnsupportedError,
    quoted,
    reject,
)
from cgan_runtime.model_file.validation.rules import (
    MAX_INPUTS_AND_OUTPUTS,
    MAX_METADATA,
    MAX_NODES,
    MAX_TENSORS,
    METADATA_SCHEMA,
    MODEL_SCHEMA,
    TYPE_NAMES,
)
from cgan_runtime.model_file.validation.symbolic import Shape, Tensor


class ValidModel(NamedTuple):
    """What validation finds out about a file."""

    sha256: str  # of the file, in hexadecimal
    max_batch: int  # images of one session.run; a power of two


def validate_model(content: bytes, source: str) -> ValidModel:
    """Check that a file has the form that cgan-export writes.

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
        max_batch = validate_graph(content).max_batch()
    except (ProtobufError, InvalidGraphError) as error:
        raise ModelError(message("not written", source=source, reason=error)) from error
    except UnsupportedError as error:
        raise ModelError(message("not supported", source=source, reason=error)) from error
    return ValidModel(digest, max_batch)


def infer_shapes(content: bytes, images: int = MAX_BATCH) -> dict[str, Shape]:
    """Return the shapes of all tensors by name for a batch, after validating a graph."""
    known = validate_graph(content).known
    return {name: each.tensor.shape_for(images) for name, each in known.items()}


def validate_graph(content: bytes) -> GraphInference:
    """Return what is known about a graph.

    Raises:
        ProtobufError, InvalidGraphError, UnsupportedError: the graph is not allowed; the text of
            the error says why.
    """
    model = read_message(content, MODEL_SCHEMA)
    _check_header(model)
    graph = model[7]
    nodes, tensors, inputs, outputs = graph[1], graph[5], graph[11], graph[12]
    counts = {"nodes": len(nodes), "tensors": len(tensors), "values": len(inputs + outputs)}
    limits = MAX_NODES, MAX_TENSORS, MAX_INPUTS_AND_OUTPUTS
    if any(count > limit for count, limit in zip(counts.values(), limits, strict=True)):
        reject("too many parts", **counts)
    inference = GraphInference(content)
    for value in inputs:
        inference.add(value.get(1, ""), Known(_declared(value), _declared_type(value)))
    for tensor in tensors:
        inference.add_tensor(tensor)
    for node in nodes:
        inference.add_node(node)
    for value in outputs:
        known = inference.known.get(value.get(1, ""))
        if known is None or known.tensor != _declared(value):
            reject("output shape")
        if known.type != _declared_type(value):
            reject("output type")
    return inference


def declared_specs(content: bytes) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Return the inputs and outputs that a valid file declares, as onnxruntime reports them."""
    graph = read_message(content, MODEL_SCHEMA)[7]

    def spec(value: Message) -> TensorSpec:
        shape = [axis.get(2, axis.get(1)) for axis in _dimensions(value)]
        return TensorSpec(value[1], f"tensor({TYPE_NAMES[_declared_type(value)]})", shape)

    return [spec(value) for value in graph[11]], [spec(value) for value in graph[12]]


def _check_header(model: Message) -> None:
    names = [f"{each[1]} " if each.get(1) else "" for each in model[8]]
    opsets = [f"{name}{each.get(2, 0)}" for name, each in zip(names, model[8], strict=True)]
    if opsets not in [[str(opset)] for opset in range(OPSET, MAX_OPSET + 1)]:
        reject("operator sets", opsets=quoted(", ".join(opsets)))
    if model.get(1) != IR_VERSION:
        reject("IR version", version=model.get(1))
    if sum(len(entry.get(1, "")) + len(entry.get(2, "")) for entry in model[14]) > MAX_METADATA:
        reject("too much metadata", limit=f"{MAX_METADATA:,}")
    keys = [entry.get(1, "") for entry in model[14]]
    if len(set(keys)) != len(keys):
        reject("duplicate key")
    if 7 not in model:
        reject("no graph")


def _dimensions(value: Message) -> list[Message]:
    axes: list[Message] = value.get(2, {}).get(1, {}).get(2, {}).get(1, [])
    return axes


def _declared(value: Message) -> Tensor:
    """Return the declared shape of an input or output; only its first axis may be the batch."""
    axes = _dimensions(value)
    batched = len(axes) > 0 and axes[0].keys() == {2}
    shape = [0 if 2 in axis else axis.get(1, 0) for axis in axes]
    return Tensor((1, *shape[1:]), 0) if batched else Tensor(tuple(shape))


def _declared_type(value: Message) -> int:
    kind: int = value.get(2, {}).get(1, {}).get(1, 0)
    return kind
