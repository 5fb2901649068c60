"""Graphs in which an image would depend on other images of its batch, or on their number."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from model_graphs import (
    Edit,
    add_node,
    content_of,
    error_after,
    error_of,
    node,
    read,
    tensor,
    zeros,
)
from onnx import TensorProto, helper, numpy_helper
from operator_cases import add_tensors, weights, whole

from cgan_runtime.model_file.contract import LABEL, MAX_BATCH


@pytest.fixture
def model(tiny_model: Path) -> onnx.ModelProto:
    return read(tiny_model)


def reshape_to_the_largest_batch(model: onnx.ModelProto) -> None:
    """The first axis has the length of the batch only for MAX_BATCH images."""
    sizes = np.array([MAX_BATCH, 1, 12, 9])
    tensor(model, "sizes").CopyFrom(numpy_helper.from_array(sizes, "sizes"))


def add_rows_of_the_largest_batch(model: onnx.ModelProto) -> None:
    tensor(model, "table").CopyFrom(numpy_helper.from_array(zeros(MAX_BATCH, 108), "table"))
    node(model, "Gather").CopyFrom(helper.make_node("Relu", ["table"], ["row"]))


def gather_images(model: onnx.ModelProto) -> None:
    """Image i is replaced with image label[i] of the batch."""
    node(model, "Add").output[0] = "all"
    index = list(model.graph.node).index(node(model, "Clip"))
    model.graph.node.insert(index, helper.make_node("Gather", ["all", LABEL], ["sum"]))


def multiply_images(model: onnx.ModelProto) -> None:
    add_node(model, "Gemm", zeros(12, 6), "numbers")


def declare_a_named_height(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_param = "height"


@pytest.mark.parametrize(
    "edit",
    [
        reshape_to_the_largest_batch,
        add_rows_of_the_largest_batch,
        gather_images,
        multiply_images,
        declare_a_named_height,
    ],
)
def test_graph_that_does_not_keep_the_images_of_a_batch_apart_is_rejected(
    model: onnx.ModelProto, edit: Edit
) -> None:
    message = error_after(model, edit)
    assert "mixes the images" in message or "differs from its declaration" in message


def test_image_of_several_labels_or_half_a_label_is_rejected(model: onnx.ModelProto) -> None:
    """The shapes fit, but there are two images, or half an image, for each label."""
    for height, factor in ((6, 2), (24, 0.5)):
        changed = onnx.ModelProto.FromString(model.SerializeToString())
        sizes = np.array([-1, 1, height, 9])
        tensor(changed, "sizes").CopyFrom(numpy_helper.from_array(sizes, "sizes"))
        changed.graph.output[0].type.tensor_type.shape.dim[2].dim_value = height
        message = error_of(content_of(changed))
        assert ("an output whose shape" if factor == 2 else "do not fit") in message


FIRST = {"axis": 0}
ONES = np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Softmax", ["map"], FIRST),
        ("Softmax", ["merged"], FIRST),
        ("LogSoftmax", ["rows"], {"axis": 1}),
        ("ArgMax", ["map"], FIRST),
        ("ReduceMean", ["map", whole(0, 2)], {}),
        ("ReduceMean", ["map"], {}),
        ("ReduceMax", ["merged", whole(-2)], {}),
        ("CumSum", ["rows", np.int64(1)], {}),
        ("LayerNormalization", ["rows", weights(1, 4, 3)], {"axis": 1}),
        ("BatchNormalization", ["rows", *[ONES] * 4], {}),
        ("InstanceNormalization", ["rows", ONES, ONES], {}),
        ("Concat", ["map", "map"], FIRST),
        ("Concat", ["map", zeros(1, 4, 4, 3)], {"axis": 1}),
        ("Slice", ["map", whole(1), whole(2**31)], {}),
        ("Slice", ["map", whole(0), whole(1)], {}),
        ("Slice", ["map", whole(-1), whole(-99), whole(0), whole(-1)], {}),
        ("Split", ["map"], FIRST | {"num_outputs": 2}),
        ("Gather", ["map", whole(0)], FIRST),
        ("Gather", ["map", LABEL], {"axis": 1}),
        ("GatherElements", ["merged", whole([0, 0, 0])], FIRST),
        ("GatherND", ["map", "column"], {}),
        ("ScatterND", ["map", whole([0]), zeros(1, 4, 4, 3)], {}),
        ("ScatterElements", ["column", whole([0]), whole([1])], {}),
        ("Squeeze", ["column", whole(0)], {}),
        ("Squeeze", ["column"], {}),
        ("Pad", ["map", whole(1, 0, 0, 0, 0, 0, 0, 0)], {}),
        ("Trilu", ["columns"], {}),
        ("Reshape", ["map", whole(4, 4, -1)], {}),
        ("Reshape", ["map", whole(2, -1)], {}),
        ("Add", ["map", "rows"], {}),
        ("Add", ["map", zeros(2, 4, 4, 3)], {}),
        ("Add", ["columns", "all"], {}),
        ("Mul", ["column", LABEL], {}),
        ("MatMul", ["columns", "all"], {}),
        ("MatMul", ["all", "columns"], {}),
        ("Gemm", ["all", "columns"], {}),
        ("Gemm", ["all", "all"], {"transA": 1}),
        ("Einsum", ["all", "all"], {"equation": "bi,ci->bc"}),
        ("Einsum", ["all", "all"], {"equation": "bi,bi->i"}),
        ("Einsum", ["all", zeros(3, 48)], {"equation": "bi,bi->bi"}),
        ("Conv", ["map", "map"], {}),
        ("Conv", ["rows", zeros(1, 1, 1, 1)], {}),
        ("MaxPool", ["rows"], {"kernel_shape": [1, 1]}),
        ("Resize", ["map", "", np.array([2, 1, 1, 1], np.float32)], {}),
        ("Resize", ["map", "", "", whole(4, 4, 4, 3)], {}),
        ("Resize", ["rows", "", "", "map sizes"], {}),
        ("Expand", ["map", whole(4, 4, 4, 3)], {}),
        ("Expand", ["rows", "map sizes"], {}),
        ("Tile", ["rows", "map sizes"], {}),
        ("QuantizeLinear", ["map", ONES], FIRST),
        ("Cast", ["map sizes"], {"to": TensorProto.FLOAT}),
        ("Range", [np.int64(0), "batch", np.int64(1)], {}),
        ("Div", ["map sizes", whole(2)], {}),
        ("Add", ["map sizes", "column"], {}),
        ("GridSample", ["map", zeros(1, 2, 2, 2)], {}),
    ],
)
def test_operator_that_mixes_images_is_rejected(
    model: onnx.ModelProto, operator: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    add_tensors(model)
    add_node(model, "Gather", "map sizes", np.int64(0))
    model.graph.node[-1].output[0] = "batch"
    message = error_after(model, lambda it: add_node(it, operator, *inputs, **attributes))
    assert f"({operator}, which computes" in message
    assert "mixes the images of a batch or uses their number); change the network" in message
