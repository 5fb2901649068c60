"""Graph validation: check an ONNX file before onnxruntime opens it.

onnxruntime runs any graph that a file describes, including one that reads another file, loops a
billion times, or computes gigabytes from two numbers. So this module first reads the file with a
schema of the few fields that cgan-export writes, and infers all types and shapes. It rejects
everything that rules.py does not list, and graphs that need more memory or computation than a
generator of small images. web/src/model/validation/graph_validation.js is a port of this module;
change both.
"""

from typing import NamedTuple

from cgan_runtime.errors import ModelError
from cgan_runtime.model_file.checksum import verify_checksum
from cgan_runtime.model_file.contract import (
    IR_VERSION,
    MAX_OPSET,
    OPSET,
    TensorSpec,
    check_version,
)
from cgan_runtime.model_file.messages import error_message, quoted
from cgan_runtime.model_file.protobuf import Message, ProtobufError, read_message
from cgan_runtime.model_file.validation.graph_inference import GraphInference, TensorInfo
from cgan_runtime.model_file.validation.node_reading import (
    InvalidGraphError,
    UnsupportedError,
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
from cgan_runtime.model_file.validation.symbolic import Tensor


class ValidModel(NamedTuple):
    """The result of validating a model file."""

    sha256: str  # hash of the file, in hexadecimal
    max_batch: int  # largest number of images of one session.run, a power of two


def validate_model(content: bytes, source: str) -> ValidModel:
    """Check that a file has the form that cgan-export writes.

    Raises:
        ModelError: the file is not an ONNX model, has a different contract version, does not
            match its checksum, or contains a graph that rules.py does not allow.
    """
    try:
        entries = read_message(content, METADATA_SCHEMA, strict=False)["metadata_props"]
    except ProtobufError as error:
        raise ModelError(error_message("not a model", source=source, reason=error)) from error
    check_version({entry.get("key", ""): entry.get("value", "") for entry in entries}, source)
    digest = verify_checksum(content, source)
    try:
        max_batch = validate_graph(content).max_batch
    except (ProtobufError, InvalidGraphError) as error:
        raise ModelError(error_message("not written", source=source, reason=error)) from error
    except UnsupportedError as error:
        raise ModelError(error_message("not supported", source=source, reason=error)) from error
    return ValidModel(digest, max_batch)


def validate_graph(content: bytes) -> GraphInference:
    """Validate a graph and return the inferred types, shapes and costs.

    Raises:
        ProtobufError, InvalidGraphError, UnsupportedError: the graph is not allowed; str(error)
            says why.
    """
    model = read_message(content, MODEL_SCHEMA)
    _check_header(model)
    graph = model["graph"]
    nodes, initializers = graph["node"], graph["initializer"]
    inputs, outputs = graph["input"], graph["output"]
    sizes = {"nodes": len(nodes), "tensors": len(initializers), "values": len(inputs + outputs)}
    limits = MAX_NODES, MAX_TENSORS, MAX_INPUTS_AND_OUTPUTS
    if any(size > limit for size, limit in zip(sizes.values(), limits, strict=True)):
        reject("too many parts", **sizes)
    inference = GraphInference(content)
    for value in inputs:
        inference.add(value.get("name", ""), TensorInfo(_declared(value), _declared_type(value)))
    for tensor in initializers:
        inference.add_initializer(tensor)
    for node in nodes:
        inference.add_node(node)
    for value in outputs:
        info = inference.tensors.get(value.get("name", ""))
        if info is None or info.tensor != _declared(value):
            reject("output shape")
        if info.type != _declared_type(value):
            reject("output type")
    return inference


def declared_specs(content: bytes) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Return the inputs and outputs that a valid file declares, as onnxruntime reports them."""
    graph = read_message(content, MODEL_SCHEMA)["graph"]

    def spec(value: Message) -> TensorSpec:
        shape = [axis.get("dim_param", axis.get("dim_value")) for axis in _dimensions(value)]
        return TensorSpec(value["name"], f"tensor({TYPE_NAMES[_declared_type(value)]})", shape)

    return [spec(value) for value in graph["input"]], [spec(value) for value in graph["output"]]


def _check_header(model: Message) -> None:
    opsets = [
        (f"{opset['domain']} " if opset.get("domain") else "") + str(opset.get("version", 0))
        for opset in model["opset_import"]
    ]
    if opsets not in [[str(version)] for version in range(OPSET, MAX_OPSET + 1)]:
        reject("operator sets", opsets=quoted(", ".join(opsets)))
    if model.get("ir_version") != IR_VERSION:
        reject("IR version", version=model.get("ir_version"))
    entries = [(entry.get("key", ""), entry.get("value", "")) for entry in model["metadata_props"]]
    if sum(len(key) + len(value) for key, value in entries) > MAX_METADATA:
        reject("too much metadata", limit=f"{MAX_METADATA:,}")
    if len(dict(entries)) != len(entries):
        reject("duplicate key")
    if "graph" not in model:
        reject("no graph")


def _tensor_type(value: Message) -> Message:
    tensor_type: Message = value.get("type", {}).get("tensor_type", {})
    return tensor_type


def _dimensions(value: Message) -> list[Message]:
    axes: list[Message] = _tensor_type(value).get("shape", {}).get("dim", [])
    return axes


def _declared(value: Message) -> Tensor:
    """Return the declared shape of an input or output; only its first axis may be the batch."""
    axes = _dimensions(value)
    batched = len(axes) > 0 and axes[0].keys() == {"dim_param"}
    shape = [0 if "dim_param" in axis else axis.get("dim_value", 0) for axis in axes]
    return Tensor((1, *shape[1:]), 0) if batched else Tensor(tuple(shape))


def _declared_type(value: Message) -> int:
    type_number: int = _tensor_type(value).get("elem_type", 0)
    return type_number
