"""Graphs in which an image depends on other images of its batch, or on their number."""

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
    load_graph,
    node,
    tensor,
    zeros,
)
from onnx import TensorProto, helper, numpy_helper
from operator_cases import add_tensors, int64, weights

from cgan_runtime.model_file.contract import LABEL, MAX_BATCH


@pytest.fixture
def model(tiny_model: Path) -> onnx.ModelProto:
    return load_graph(tiny_model)


def reshape_to_the_largest_batch(model: onnx.ModelProto) -> None:
    """The first axis has the length of the batch only for MAX_BATCH images."""
    sizes = np.array([MAX_BATCH, 1, 12, 9])
    tensor(model, "sizes").CopyFrom(numpy_helper.from_array(sizes, "sizes"))


def add_rows_of_the_largest_batch(model: onnx.ModelProto) -> None:
    tensor(model, "table").CopyFrom(numpy_helper.from_array(zeros(MAX_BATCH, 108), "table"))
    node(model, "Gather").CopyFrom(helper.make_node("Relu", ["table"], ["row"]))


def gather_images(model: onnx.ModelProto) -> None:
    """Image i is replaced with image label[i] of the batch."""
    node(model, "Add").output[0] = "flat"
    index = list(model.graph.node).index(node(model, "Clip"))
    model.graph.node.insert(index, helper.make_node("Gather", ["flat", LABEL], ["sum"]))


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
        assert ("an output whose shape" if factor == 2 else "incompatible") in message


FIRST = {"axis": 0}
ONES = np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Softmax", ["map"], FIRST),
        ("Softmax", ["merged"], FIRST),
        ("LogSoftmax", ["rows"], {"axis": 1}),
        ("ArgMax", ["map"], FIRST),
        ("ReduceMean", ["map", int64(0, 2)], {}),
        ("ReduceMean", ["map"], {}),
        ("ReduceMax", ["merged", int64(-2)], {}),
        ("CumSum", ["rows", np.int64(1)], {}),
        ("LayerNormalization", ["rows", weights(1, 4, 3)], {"axis": 1}),
        ("BatchNormalization", ["rows", *[ONES] * 4], {}),
        ("InstanceNormalization", ["rows", ONES, ONES], {}),
        ("Concat", ["map", "map"], FIRST),
        ("Concat", ["map", zeros(1, 4, 4, 3)], {"axis": 1}),
        ("Slice", ["map", int64(1), int64(2**31)], {}),
        ("Slice", ["map", int64(0), int64(1)], {}),
        ("Slice", ["map", int64(-1), int64(-99), int64(0), int64(-1)], {}),
        ("Split", ["map"], FIRST | {"num_outputs": 2}),
        ("Gather", ["map", int64(0)], FIRST),
        ("Gather", ["map", LABEL], {"axis": 1}),
        ("GatherElements", ["merged", int64([0, 0, 0])], FIRST),
        ("GatherND", ["map", "column"], {}),
        ("ScatterND", ["map", int64([0]), zeros(1, 4, 4, 3)], {}),
        ("ScatterElements", ["column", int64([0]), int64([1])], {}),
        ("Squeeze", ["column", int64(0)], {}),
        ("Squeeze", ["column"], {}),
        ("Pad", ["map", int64(1, 0, 0, 0, 0, 0, 0, 0)], {}),
        ("Trilu", ["columns"], {}),
        ("Reshape", ["map", int64(4, 4, -1)], {}),
        ("Reshape", ["map", int64(2, -1)], {}),
        ("Add", ["map", "rows"], {}),
        ("Add", ["map", zeros(2, 4, 4, 3)], {}),
        ("Add", ["columns", "flat"], {}),
        ("Mul", ["column", LABEL], {}),
        ("MatMul", ["columns", "flat"], {}),
        ("MatMul", ["flat", "columns"], {}),
        ("Gemm", ["flat", "columns"], {}),
        ("Gemm", ["flat", "flat"], {"transA": 1}),
        ("Einsum", ["flat", "flat"], {"equation": "bi,ci->bc"}),
        ("Einsum", ["flat", "flat"], {"equation": "bi,bi->i"}),
        ("Einsum", ["flat", zeros(3, 48)], {"equation": "bi,bi->bi"}),
        ("Conv", ["map", "map"], {}),
        ("Conv", ["rows", zeros(1, 1, 1, 1)], {}),
        ("MaxPool", ["rows"], {"kernel_shape": [1, 1]}),
        ("Resize", ["map", "", np.array([2, 1, 1, 1], np.float32)], {}),
        ("Resize", ["map", "", "", int64(4, 4, 4, 3)], {}),
        ("Resize", ["rows", "", "", "map sizes"], {}),
        ("Expand", ["map", int64(4, 4, 4, 3)], {}),
        ("Expand", ["rows", "map sizes"], {}),
        ("Tile", ["rows", "map sizes"], {}),
        ("QuantizeLinear", ["map", ONES], FIRST),
        ("Cast", ["map sizes"], {"to": TensorProto.FLOAT}),
        ("Range", [np.int64(0), "batch", np.int64(1)], {}),
        ("Div", ["map sizes", int64(2)], {}),
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
