"""Operators whose inputs, types or attributes onnxruntime would reject, or that have no shape."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from model_graphs import add_node, error_after, load_graph, zeros
from onnx import TensorProto

from cgan_runtime.model_file.contract import LABEL, NOISE


@pytest.fixture
def model(tiny_model: Path) -> onnx.ModelProto:
    return load_graph(tiny_model)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Add", [zeros(2), zeros(3)], {}),
        ("Conv", [NOISE, zeros(1, 1, 1, 1)], {}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 2, 3, 3)], {}),
        ("Conv", [zeros(1, 2, 4, 4), zeros(1, 1, 3, 3)], {"group": 2}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"group": 0}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"pads": [0, 0, 0, 2**40]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"pads": [-1, 0, 0, 0]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"pads": [1, 1]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"strides": [0, 1]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"dilations": [1, -1]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"kernel_shape": [2, 2]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3), zeros(2)], {}),
        ("Conv", [zeros(1, 1, 4, 4, 4), zeros(1, 1, 3, 3)], {}),
        ("ConvTranspose", [zeros(1, 2, 4, 4), zeros(3, 1, 3, 3)], {}),
        ("ConvTranspose", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"output_padding": [1, 1]}),
        ("DepthToSpace", [zeros(1, 8, 2, 2)], {"blocksize": 3}),
        ("DepthToSpace", [zeros(1, 8, 2, 2)], {"blocksize": 0}),
        ("BatchNormalization", [zeros(1, 2, 3), *[zeros(3)] * 4], {}),
        ("Col2Im", [zeros(1, 4, 9), np.array([4, 4]), np.array([2, 2])], {"strides": [2, 2]}),
        ("Concat", [zeros(2, 3), zeros(2, 2)], {"axis": 0}),
        ("CumSum", [zeros(2, 3), np.int64(2)], {}),
        ("Einsum", [zeros(2, 3), zeros(2, 3)], {"equation": "ij,jk->ik"}),
        ("Einsum", [zeros(2, 2)], {"equation": "ii->i"}),
        ("Einsum", [zeros(2, 2)], {"equation": "ij->ik"}),
        ("Einsum", [zeros(2, 2)], {"equation": "i,j->ij"}),
        ("Einsum", [zeros(2, 2)], {"equation": "i1->i"}),
        ("Expand", [zeros(2, 3), np.array([2])], {}),
        ("Expand", [zeros(2, 3), np.array([0, 3])], {}),
        ("Gather", [zeros(2, 2), LABEL], {"axis": 2}),
        ("Gather", [np.float32(1), LABEL], {}),
        ("MatMul", [zeros(2, 3), zeros(2, 3)], {}),
        ("Gemm", [zeros(2, 3), zeros(2, 3)], {}),
        ("Gemm", [zeros(2, 3, 1), zeros(3, 2)], {}),
        ("Gemm", [zeros(2, 3), zeros(3, 2), zeros(3)], {}),
        ("Gemm", [zeros(1, 3), zeros(3, 2), zeros(5, 2)], {}),
        ("LayerNormalization", [zeros(2, 3), zeros(2)], {}),
        ("MaxPool", [zeros(1, 1, 4, 4)], {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}),
        ("MaxPool", [zeros(1, 1, 4, 4)], {"kernel_shape": [5, 1]}),
        ("MaxPool", [zeros(1, 1, 4, 4)], {}),
        ("Mul", [zeros(1, 2), zeros(3, 3)], {}),
        ("Pad", [zeros(2, 3), np.array([0, 0, -2, 0])], {}),
        ("Pad", [zeros(2, 3), np.array([0, 3, 0, 0])], {"mode": "reflect"}),
        ("Pad", [zeros(2, 3), np.array([0, 0, 0])], {}),
        ("Pad", [zeros(2, 3), np.array([0, 0, 2**40, 2**40])], {"mode": "edge"}),
        ("ReduceSum", [zeros(2, 3), np.array([0, 0])], {}),
        ("ReduceSum", [zeros(2, 3), np.array([2])], {}),
        ("Resize", [zeros(1, 1, 2, 2)], {}),
        ("Resize", [zeros(1, 1, 2, 2), "", np.ones(3, np.float32)], {}),
        ("Resize", [zeros(1, 1, 2, 2), "", np.zeros(4, np.float32)], {}),
        ("Resize", [zeros(1, 1, 2, 2), "", np.full(4, np.nan, np.float32)], {}),
        ("Resize", [zeros(1, 1, 2, 2), "", np.full(4, np.inf, np.float32)], {}),
        ("Reshape", [zeros(4), np.array([3])], {}),
        ("Reshape", [zeros(4), np.array([2])], {}),
        ("Reshape", [zeros(4), np.array([-1, -1])], {}),
        ("Reshape", [zeros(4), np.array([-2, -2])], {}),
        ("Reshape", [zeros(4), np.array([-1, 3])], {}),
        ("Reshape", [zeros(4), np.array([4, 0])], {}),
        ("Reshape", [zeros(4), np.array([0])], {"allowzero": 1}),
        ("Slice", [zeros(4), np.array([0]), np.array([4]), np.array([0]), np.array([0])], {}),
        ("Slice", [zeros(4), np.array([0, 0]), np.array([4, 4]), np.array([0, 0])], {}),
        ("Split", [zeros(4)], {}),
        ("Split", [zeros(4), np.array([3])], {}),
        ("Split", [zeros(4)], {"num_outputs": -1}),
        ("Squeeze", [zeros(2, 1), np.array([0])], {}),
        ("Tile", [zeros(2, 1), np.array([2])], {}),
        ("Transpose", [zeros(2, 3)], {"perm": [0, 0]}),
        ("Transpose", [zeros(2, 3)], {"perm": [0, 1, 2]}),
    ],
)
def test_operator_inputs_that_do_not_fit_are_rejected(
    model: onnx.ModelProto, operator: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    message = error_after(model, lambda it: add_node(it, operator, *inputs, **attributes))
    assert re.search(rf"of {operator}, which computes 'output\d+', are incompatible", message)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Reshape", [zeros(2), "rounded"], {}),
        ("Expand", [zeros(2), "rounded"], {}),
        ("Slice", [zeros(4), "rounded", np.array([2])], {}),
        ("ConstantOfShape", ["rounded"], {}),
        ("Range", [np.int64(0), "whole", np.int64(1)], {}),
        ("OneHot", [LABEL, "whole", zeros(2)], {}),
        ("Resize", [zeros(1, 1, 2, 2), "", "", "rounded"], {}),
        ("Reshape", [zeros(100), np.ones(65, np.int64)], {}),
    ],
)
def test_shape_that_depends_on_values_is_rejected(
    model: onnx.ModelProto, operator: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    add_node(model, "Cast", np.ones(1, np.float32), to=TensorProto.INT64)
    model.graph.node[-1].output[0] = "rounded"
    add_node(model, "Squeeze", "rounded", np.array([0]))
    model.graph.node[-1].output[0] = "whole"
    message = error_after(model, lambda it: add_node(it, operator, *inputs, **attributes))
    assert "depends on the noise or the label); change the network as docs/contract" in message


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "reason"),
    [
        ("Gemm", [NOISE, zeros(6, 2).astype(np.uint8)], {}, "an input of type uint8"),
        ("Gather", [zeros(2), NOISE], {}, "an input of type float"),
        ("Add", [NOISE, np.int32(1)], {}, "an input of type int32"),
        ("Gather", [zeros(2), LABEL], {"axis": [0]}, "attribute 'axis' has a wrong value"),
        ("Gather", [zeros(2), LABEL], {"axis": 0.0}, "attribute 'axis' has a wrong value"),
        ("Cast", [NOISE], {}, "without attribute 'to'"),
        ("Cast", [NOISE], {"to": TensorProto.STRING}, "incompatible"),
        ("Constant", [], {}, "without attribute 'value'"),
        ("Constant", [], {"value_int": 1}, "with attribute 'value_int'"),
        ("Split", [zeros(4)], {"num_outputs": 2}, "with 1 inputs and 1 outputs"),
        ("Clip", [NOISE, zeros(2)], {}, "incompatible"),
        ("QuantizeLinear", [NOISE, zeros(2), np.zeros(2, np.uint8)], {}, "incompatible"),
        ("QuantizeLinear", [NOISE, zeros(6), np.uint8(0)], {}, "incompatible"),
        ("Concat", [], {"axis": 0}, "with 0 inputs"),
        ("Where", [NOISE, NOISE, NOISE], {}, "an input of type float"),
        (
            "Conv",
            [zeros(1, 1, 4, 4), zeros(1, 1, 5, 5)],
            {"auto_pad": "SAME_UPPER"},
            "attribute 'auto_pad' has a wrong value",
        ),
        (
            "Conv",
            [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)],
            {"pads": 1},
            "attribute 'pads' has a wrong value",
        ),
        (
            "ConvTranspose",
            [zeros(1, 1, 1, 1), zeros(1, 1, 3, 3)],
            {"pads": [2, 2, 2, 2]},
            "of shape [1, 1, -1, -1]",
        ),
        (
            "DepthToSpace",
            [zeros(1, 8, 2, 2)],
            {"blocksize": 2, "mode": "DRC"},
            "attribute 'mode' has a wrong value",
        ),
        ("DepthToSpace", [zeros(1, 8, 2, 2)], {}, "without attribute 'blocksize'"),
        ("OneHot", [LABEL, np.int64(0), zeros(2)], {}, "of shape [1, 0]"),
        (
            "Resize",
            [zeros(1, 1, 2, 2), "", np.ones(4, np.float32)],
            {"mode": "area"},
            "attribute 'mode' has a wrong value",
        ),
        ("Reshape", [zeros(4), NOISE], {}, "an input of type float"),
        ("Slice", [zeros(4), np.array([2]), np.array([1])], {}, "of shape [0]"),
        ("Transpose", [zeros(2, 3)], {}, "without attribute 'perm'"),
    ],
)
def test_types_and_attributes_that_onnxruntime_would_reject_are_rejected(
    model: onnx.ModelProto,
    operator: str,
    inputs: list[Any],
    attributes: dict[str, Any],
    reason: str,
) -> None:
    message = error_after(model, lambda it: add_node(it, operator, *inputs, **attributes))
    assert reason in message
