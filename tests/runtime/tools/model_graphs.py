"""Edits of a valid model file, and what graph validation says about the result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from cgan_runtime.errors import ModelError
from cgan_runtime.model_file.checksum import CHECKSUM_BYTES, add_checksum
from cgan_runtime.model_file.contract import MAX_BATCH
from cgan_runtime.model_file.validation import graph_validation

Edit = Callable[[onnx.ModelProto], object]


def load_graph(path: Path) -> onnx.ModelProto:
    """Return a model without its checksum."""
    model = onnx.ModelProto()
    model.ParseFromString(path.read_bytes()[:-CHECKSUM_BYTES])
    return model


def content_of(model: onnx.ModelProto) -> bytes:
    """Return the content of a model file with a valid checksum."""
    return add_checksum(model.SerializeToString())


def validate(model: onnx.ModelProto) -> graph_validation.ValidModel:
    return graph_validation.validate_model(content_of(model), "m.onnx")


def infer_and_compare_shapes(content: bytes) -> dict[str, tuple[int, ...]]:
    """Return the shapes that graph validation infers, after a check that onnx infers equal ones."""
    graph_validation.validate_model(content, "m.onnx")
    tensors = graph_validation.validate_graph(content).tensors
    shapes = {name: info.tensor.shape_for(MAX_BATCH) for name, info in tensors.items()}
    model = onnx.shape_inference.infer_shapes(
        onnx.ModelProto.FromString(content), strict_mode=True, data_prop=True
    )
    assert len(model.graph.value_info) > 3
    for value in model.graph.value_info:
        axes = value.type.tensor_type.shape.dim
        shape = [MAX_BATCH if axis.dim_param else axis.dim_value for axis in axes]
        assert shapes[value.name] == tuple(shape), value.name
    return shapes


def error_of(content: bytes) -> str:
    """Return the message about an invalid file."""
    with pytest.raises(ModelError) as caught:
        graph_validation.validate_model(content, "m.onnx")
    message = str(caught.value)
    assert message.startswith("m.onnx ")
    assert "; " in message
    assert "\n" not in message
    assert len(message) < 400
    return message


def error_after(model: onnx.ModelProto, edit: Edit) -> str:
    edit(model)
    return error_of(content_of(model))


def node(model: onnx.ModelProto, operator: str) -> Any:
    (found,) = [each for each in model.graph.node if each.op_type == operator]
    return found


def tensor(model: onnx.ModelProto, name: str) -> Any:
    (found,) = [each for each in model.graph.initializer if each.name == name]
    return found


def add_node(
    model: onnx.ModelProto, operator: str, *inputs: Any, outputs: int = 1, **attributes: Any
) -> str:
    """Add a node whose inputs are names, or arrays that become initializers; return its output."""
    names = []
    for value in inputs:
        name = value if isinstance(value, str) else f"tensor{len(model.graph.initializer)}"
        if not isinstance(value, str):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        names.append(name)
    first = f"output{len(model.graph.node)}"
    results = [first, *(f"{first}.{index}" for index in range(1, outputs))]
    model.graph.node.append(helper.make_node(operator, names, results, **attributes))
    return first


def zeros(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)
