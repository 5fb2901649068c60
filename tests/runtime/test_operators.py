"""onnxruntime returns the inferred shapes for every operator that a model file may contain."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_graphs import load_graph
from onnx import TensorProto, numpy_helper
from operator_cases import Case, add_case, check_against_onnxruntime, int64, weights

from cgan_runtime.model_file.contract import LABEL, NOISE
from cgan_runtime.model_file.validation.rules import OPERATORS

HALF = np.float32(0.5)
ONES = np.ones(4, np.float32)


def case(operator: str, *inputs: Any, outputs: int = 1, opset: int = 19, **attributes: Any) -> Case:
    return Case(operator, list(inputs), attributes, outputs, opset)


def cases(operators: str, *inputs: Any, **attributes: Any) -> list[Case]:
    return [case(operator, *inputs, **attributes) for operator in operators.split()]


CASES = [
    *cases("Abs Atan Ceil Cos Cosh Erf Exp Floor Neg Relu Round Sigmoid Sign Sin Sinh", "merged"),
    *cases("Acos Asin Celu Elu HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Mish", "rows"),
    *cases("Selu Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Reciprocal Log", "map"),
    case("Gelu", "merged", opset=20),
    case("Gelu", "merged", opset=20, approximate="tanh"),
    case("Not", "flags"),
    case("Cast", LABEL, to=TensorProto.FLOAT),
    case("Cast", "flags", to=TensorProto.INT64),
    case("Cast", "map", to=TensorProto.DOUBLE),
    case("Cast", "map", to=TensorProto.FLOAT16),
    case("Clip", "map", "", HALF),
    case("Clip", "merged", np.float32(-1), HALF),
    # Several tensors
    *cases("Add Div Mul Sub Min Max Sum", "map", weights(4, 1)),
    *cases("Add Mul Greater GreaterOrEqual Less LessOrEqual Equal", "rows", "rows"),
    *cases("And Or Xor", "flags", np.array([True, False, True])),
    *cases("Add Sub Mul", "map sizes", int64(2)),
    case("Div", "even sizes", int64(2)),
    case("Max", "map", "map", weights(3), HALF),
    case("Mod", "label int32", np.array([3], np.int32)),
    case("Mod", "map", HALF, fmod=1),
    case("Pow", "map", np.float32(2)),
    case("PRelu", "map", weights(4, 1, 1)),
    case("Where", "flags", "map", HALF),
    case("Where", np.array([True, False, True]), "rows", "rows"),
    # Along axes
    *cases("LogSoftmax Softmax", "rows", axis=0),
    *cases("LogSoftmax Softmax", "merged"),
    *cases("ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean", "rows", int64(0, -1)),
    *cases("ReduceMin ReduceProd ReduceSum ReduceSumSquare", "rows", int64(2), keepdims=0),
    case("ReduceSum", "map", noop_with_empty_axes=1),
    case("ReduceProd", "map sizes", keepdims=0),
    *cases("ArgMax ArgMin", "map", axis=2),
    case("ArgMax", "rows", axis=0, keepdims=0),
    case("CumSum", "rows", np.int64(2)),
    case("CumSum", "merged", int64(-1), reverse=1, exclusive=1),
    # Normalization
    case("BatchNormalization", "map", ONES, ONES, ONES, ONES, epsilon=1e-3),
    case("GroupNormalization", "map", ONES[:2], ONES[:2], num_groups=2),
    case("GroupNormalization", "map", ONES, ONES, num_groups=2, opset=21),
    case("InstanceNormalization", "map", ONES, ONES),
    case("LayerNormalization", "map", weights(4, 3), axis=-2),
    case("LayerNormalization", "rows", weights(3), weights(3)),
    # Layers
    case("Conv", "map", weights(6, 2, 3, 2), weights(6), group=2, pads=[1, 0, 1, 1]),
    case("Conv", "map", weights(2, 4, 2, 1), strides=[2, 3], dilations=[2, 1]),
    case("Conv", "tokens", weights(3, 4, 3), kernel_shape=[3]),
    case("ConvTranspose", "map", weights(4, 3, 3, 3), weights(6), group=2, strides=[2, 1]),
    case("ConvTranspose", "tokens", weights(4, 2, 4), strides=[2], pads=[1, 1]),
    case(
        "ConvTranspose",
        *("map", weights(4, 3, 3, 3)),
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        output_padding=[1, 0],
    ),
    case("Einsum", "map", weights(3, 5), equation="...i,ij->...j"),
    case("Einsum", "map", "map", equation="bchw, bkhw -> kbc"),
    case("Einsum", "map", equation="bchw->wb"),
    case("Einsum", "map", weights(3, 5), weights(5, 2), equation="bchw,wi,ij"),
    case("Gemm", NOISE, weights(6, 2), weights(2), alpha=0.5),
    case("Gemm", "columns", weights(2, 48), transA=1, transB=1),
    case("Gemm", weights(5, 48), "columns"),
    case("MatMul", "map", weights(3, 5)),
    case("MatMul", weights(5, 4), "map"),
    case("MatMul", "merged", weights(3, 5)),
    case("MatMul", weights(2, 48), "columns"),
    case("MatMul", weights(1, 4, 5, 4), "map"),
    case("MatMul", "map", weights(3)),
    case("MatMul", weights(4), "map"),
    case("MatMul", "tokens", weights(12, 3)),
    # Images
    case("AveragePool", "map", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1),
    case("AveragePool", "map", kernel_shape=[2, 2], pads=[1, 0, 1, 1], count_include_pad=1),
    case("MaxPool", "map", kernel_shape=[2, 2], dilations=[2, 1]),
    case("MaxPool", "map", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], ceil_mode=1),
    case("MaxPool", "tokens", kernel_shape=[5], strides=[3], ceil_mode=1),
    *cases("GlobalAveragePool GlobalMaxPool", "map"),
    case("Col2Im", "tokens", int64(4, 6), int64(2, 1), strides=[2, 1]),
    case("Col2Im", "tokens", int64(2, 7), int64(2, 2), pads=[1, 0, 1, 0], dilations=[1, 3]),
    case("DepthToSpace", "map", blocksize=2),
    case("DepthToSpace", "map", blocksize=2, mode="CRD"),
    case("SpaceToDepth", "map", blocksize=1),
    case("GridSample", "map", "grid", align_corners=1),
    case("Resize", "map", "", np.array([1, 1, 2.5, 1.3], np.float32)),
    case("Resize", "map", "", np.array([1, 1, 2, 2], np.float32), mode="linear"),
    case("Resize", "map", "", "", "resize sizes", mode="cubic"),
    case("Resize", "map", "", "", "resize sizes", mode="linear", antialias=1),
    # Shapes
    case("Concat", "map", "map", "map", axis=2),
    case("Concat", "rows", "rows", axis=-1),
    case("Concat", "map sizes", int64(7), axis=0),
    case("Expand", np.ones((4, 1, 3), np.float32), "map sizes"),
    case("Expand", "rows", int64(2, 4, 1, 4, 3)),
    case("Flatten", "rows", axis=2),
    case("Flatten", "rows", axis=-4),
    case("Pad", "map", int64(0, 1, 0, 2, 0, 0, 1, -1)),
    case("Pad", "map", int64(2, 3, 1, 0), "", int64(-1, 1), mode="wrap"),
    *[
        case("Pad", "rows", int64(1, 0, 0, 2, 1, 0, 3, 0), mode=mode)
        for mode in ("edge", "reflect")
    ],
    case("Reshape", "map", int64(0, 2, -1)),
    case("Reshape", "rows", int64(2, 2, -1, 12)),
    case("Reshape", "merged", int64(4, -1, 2, 6)),
    case("Reshape", "map sizes", int64(2, 2)),
    case("Reshape", "tokens", "map sizes", allowzero=1),
    case("Slice", "map", int64(-1), int64(-99), int64(-1), int64(-2)),
    case("Slice", "map", int64(0, 1), int64(2**63 - 1, -1)),
    case("Slice", "map sizes", int64(-2), int64(2**31)),
    case("Split", "map", axis=3, num_outputs=2, outputs=2),
    case("Split", "rows", int64(1, 3), outputs=2),
    case("Squeeze", np.ones((1, 3, 1), np.float32)),
    case("Squeeze", "rank 5", int64(0)),
    case("Tile", "rows", int64(2, 3, 1, 2)),
    case("Tile", np.ones((2, 3, 1, 2), np.float32), "map sizes"),
    case("Transpose", "map", perm=[3, 1, 0, 2]),
    case("Trilu", "map", np.int64(1), upper=0),
    case("Unsqueeze", "rows", int64(-1, 0)),
    # Selection
    case("Gather", weights(10, 2, 3), LABEL),
    case("Gather", weights(2, 10, 3), "label int32", axis=1),
    case("Gather", "rows", int64([3, 0], [1, 1]), axis=0),
    case("Gather", "rows", np.int64(-1), axis=2),
    case("Gather", "map sizes", np.int64(0)),
    case("GatherElements", weights(10, 1), "label int32"),
    case("GatherElements", "map", "argmax", axis=1),
    case("GatherND", weights(10, 3), "column"),
    case("GatherND", "rows", int64([3], [1], [1])),
    case("OneHot", LABEL, np.int64(10), np.array([-1, 1], np.float32)),
    case("OneHot", LABEL, int64(10), np.array([-1, 1], np.float32), axis=0),
    case("ScatterElements", "zeros", "column", "ones", axis=1),
    case("ScatterND", "rows", int64([2], [0]), "two rows", reduction="add"),
    # Constants
    case("Constant", value=numpy_helper.from_array(weights(2, 3))),
    case("ConstantOfShape", "map sizes"),
    case("ConstantOfShape", "map sizes", value=numpy_helper.from_array(np.array([7], np.int64))),
    case("Range", np.int64(9), np.int64(2), np.int64(-2)),
    case("Shape", "rows"),
    case("Shape", "rows", start=-3, end=-1),
    # Quantization
    case("DequantizeLinear", np.zeros((4, 3), np.int8), ONES, np.zeros(4, np.int8), axis=0),
    case("DequantizeLinear", np.zeros(4, np.int32), ONES, axis=0),
    case("QuantizeLinear", "map", HALF, np.int8(3)),
    case("QuantizeLinear", "rows", ONES, axis=2),
]


@pytest.mark.parametrize("case", CASES, ids=lambda each: each.operator)
def test_onnxruntime_returns_the_inferred_shapes(tiny_model: Path, case: Case) -> None:
    model = load_graph(tiny_model)
    names = add_case(model, case)
    check_against_onnxruntime(model, names)


def test_no_operator_is_untested() -> None:
    assert {each.operator for each in CASES} == set(OPERATORS)
