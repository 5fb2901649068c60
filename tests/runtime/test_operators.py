"""Every operator that a model file may contain, in onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_graphs import read
from onnx import TensorProto, numpy_helper
from operator_cases import (
    COLUMN,
    COLUMNS,
    FLAGS,
    MAP,
    MERGED,
    ROWS,
    SIZES,
    TOKENS,
    WHOLE,
    Case,
    add_case,
    check_against_onnxruntime,
    weights,
    whole,
)

from cgan_runtime.model_file.contract import LABEL, NOISE
from cgan_runtime.model_file.validation.rules import OPERATORS

HALF = np.float32(0.5)
ONES = np.ones(4, np.float32)


def case(operator: str, *inputs: Any, outputs: int = 1, opset: int = 19, **attributes: Any) -> Case:
    return Case(operator, list(inputs), attributes, outputs, opset)


def unary(names: str, *inputs: Any, **attributes: Any) -> list[Case]:
    return [case(name, *inputs, **attributes) for name in names.split()]


CASES = [
    *unary("Abs Atan Ceil Cos Cosh Erf Exp Floor Neg Relu Round Sigmoid Sign Sin Sinh", MERGED),
    *unary("Acos Asin Celu Elu HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Mish", ROWS),
    *unary("Selu Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Reciprocal Log", MAP),
    case("Gelu", MERGED, opset=20),
    case("Gelu", MERGED, opset=20, approximate="tanh"),
    case("Not", FLAGS),
    case("Cast", LABEL, to=TensorProto.FLOAT),
    case("Cast", FLAGS, to=TensorProto.INT64),
    case("Cast", MAP, to=TensorProto.DOUBLE),
    case("Cast", MAP, to=TensorProto.FLOAT16),
    case("Clip", MAP, "", HALF),
    case("Clip", MERGED, np.float32(-1), HALF),
    # Several tensors
    *unary("Add Div Mul Sub Min Max Sum", MAP, weights(4, 1)),
    *unary("Add Mul Greater GreaterOrEqual Less LessOrEqual Equal", ROWS, ROWS),
    *unary("And Or Xor", FLAGS, np.array([True, False, True])),
    *unary("Add Sub Mul", SIZES, whole(2)),
    case("Div", "even sizes", whole(2)),
    case("Max", MAP, MAP, weights(3), HALF),
    case("Mod", WHOLE, np.array([3], np.int32)),
    case("Mod", MAP, HALF, fmod=1),
    case("Pow", MAP, np.float32(2)),
    case("PRelu", MAP, weights(4, 1, 1)),
    case("Where", FLAGS, MAP, HALF),
    case("Where", np.array([True, False, True]), ROWS, ROWS),
    # Along axes
    *unary("LogSoftmax Softmax", ROWS, axis=0),
    *unary("LogSoftmax Softmax", MERGED),
    *unary("ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean", ROWS, whole(0, -1)),
    *unary("ReduceMin ReduceProd ReduceSum ReduceSumSquare", ROWS, whole(2), keepdims=0),
    case("ReduceSum", MAP, noop_with_empty_axes=1),
    case("ReduceProd", SIZES, keepdims=0),
    *unary("ArgMax ArgMin", MAP, axis=2),
    case("ArgMax", ROWS, axis=0, keepdims=0),
    case("CumSum", ROWS, np.int64(2)),
    case("CumSum", MERGED, whole(-1), reverse=1, exclusive=1),
    # Normalization
    case("BatchNormalization", MAP, ONES, ONES, ONES, ONES, epsilon=1e-3),
    case("GroupNormalization", MAP, ONES[:2], ONES[:2], num_groups=2),
    case("GroupNormalization", MAP, ONES, ONES, num_groups=2, opset=21),
    case("InstanceNormalization", MAP, ONES, ONES),
    case("LayerNormalization", MAP, weights(4, 3), axis=-2),
    case("LayerNormalization", ROWS, weights(3), weights(3)),
    # Layers
    case("Conv", MAP, weights(6, 2, 3, 2), weights(6), group=2, pads=[1, 0, 1, 1]),
    case("Conv", MAP, weights(2, 4, 2, 1), strides=[2, 3], dilations=[2, 1]),
    case("Conv", TOKENS, weights(3, 4, 3), kernel_shape=[3]),
    case("ConvTranspose", MAP, weights(4, 3, 3, 3), weights(6), group=2, strides=[2, 1]),
    case("ConvTranspose", TOKENS, weights(4, 2, 4), strides=[2], pads=[1, 1]),
    case(
        "ConvTranspose",
        *(MAP, weights(4, 3, 3, 3)),
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        output_padding=[1, 0],
    ),
    case("Einsum", MAP, weights(3, 5), equation="...i,ij->...j"),
    case("Einsum", MAP, MAP, equation="bchw, bkhw -> kbc"),
    case("Einsum", MAP, equation="bchw->wb"),
    case("Einsum", MAP, weights(3, 5), weights(5, 2), equation="bchw,wi,ij"),
    case("Gemm", NOISE, weights(6, 2), weights(2), alpha=0.5),
    case("Gemm", COLUMNS, weights(2, 48), transA=1, transB=1),
    case("Gemm", weights(5, 48), COLUMNS),
    case("MatMul", MAP, weights(3, 5)),
    case("MatMul", weights(5, 4), MAP),
    case("MatMul", MERGED, weights(3, 5)),
    case("MatMul", weights(2, 48), COLUMNS),
    case("MatMul", weights(1, 4, 5, 4), MAP),
    case("MatMul", MAP, weights(3)),
    case("MatMul", weights(4), MAP),
    case("MatMul", TOKENS, weights(12, 3)),
    # Images
    case("AveragePool", MAP, kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1),
    case("AveragePool", MAP, kernel_shape=[2, 2], pads=[1, 0, 1, 1], count_include_pad=1),
    case("MaxPool", MAP, kernel_shape=[2, 2], dilations=[2, 1]),
    case("MaxPool", MAP, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], ceil_mode=1),
    case("MaxPool", TOKENS, kernel_shape=[5], strides=[3], ceil_mode=1),
    *unary("GlobalAveragePool GlobalMaxPool", MAP),
    case("Col2Im", TOKENS, whole(4, 6), whole(2, 1), strides=[2, 1]),
    case("Col2Im", TOKENS, whole(2, 7), whole(2, 2), pads=[1, 0, 1, 0], dilations=[1, 3]),
    case("DepthToSpace", MAP, blocksize=2),
    case("DepthToSpace", MAP, blocksize=2, mode="CRD"),
    case("SpaceToDepth", MAP, blocksize=1),
    case("GridSample", MAP, "grid", align_corners=1),
    case("Resize", MAP, "", np.array([1, 1, 2.5, 1.3], np.float32)),
    case("Resize", MAP, "", np.array([1, 1, 2, 2], np.float32), mode="linear"),
    case("Resize", MAP, "", "", "target", mode="cubic"),
    case("Resize", MAP, "", "", "target", mode="linear", antialias=1),
    # Shapes
    case("Concat", MAP, MAP, MAP, axis=2),
    case("Concat", ROWS, ROWS, axis=-1),
    case("Concat", SIZES, whole(7), axis=0),
    case("Expand", np.ones((4, 1, 3), np.float32), SIZES),
    case("Expand", ROWS, whole(2, 4, 1, 4, 3)),
    case("Flatten", ROWS, axis=2),
    case("Flatten", ROWS, axis=-4),
    case("Pad", MAP, whole(0, 1, 0, 2, 0, 0, 1, -1)),
    case("Pad", MAP, whole(2, 3, 1, 0), "", whole(-1, 1), mode="wrap"),
    *[case("Pad", ROWS, whole(1, 0, 0, 2, 1, 0, 3, 0), mode=mode) for mode in ("edge", "reflect")],
    case("Reshape", MAP, whole(0, 2, -1)),
    case("Reshape", ROWS, whole(2, 2, -1, 12)),
    case("Reshape", MERGED, whole(4, -1, 2, 6)),
    case("Reshape", SIZES, whole(2, 2)),
    case("Reshape", TOKENS, SIZES, allowzero=1),
    case("Slice", MAP, whole(-1), whole(-99), whole(-1), whole(-2)),
    case("Slice", MAP, whole(0, 1), whole(2**63 - 1, -1)),
    case("Slice", SIZES, whole(-2), whole(2**31)),
    case("Split", MAP, axis=3, num_outputs=2, outputs=2),
    case("Split", ROWS, whole(1, 3), outputs=2),
    case("Squeeze", np.ones((1, 3, 1), np.float32)),
    case("Squeeze", "one", whole(0)),
    case("Tile", ROWS, whole(2, 3, 1, 2)),
    case("Tile", np.ones((2, 3, 1, 2), np.float32), SIZES),
    case("Transpose", MAP, perm=[3, 1, 0, 2]),
    case("Trilu", MAP, np.int64(1), upper=0),
    case("Unsqueeze", ROWS, whole(-1, 0)),
    # Selection
    case("Gather", weights(10, 2, 3), LABEL),
    case("Gather", weights(2, 10, 3), WHOLE, axis=1),
    case("Gather", ROWS, whole([3, 0], [1, 1]), axis=0),
    case("Gather", ROWS, np.int64(-1), axis=2),
    case("Gather", SIZES, np.int64(0)),
    case("GatherElements", weights(10, 1), WHOLE),
    case("GatherElements", MAP, "chosen", axis=1),
    case("GatherND", weights(10, 3), COLUMN),
    case("GatherND", ROWS, whole([3], [1], [1])),
    case("OneHot", LABEL, np.int64(10), np.array([-1, 1], np.float32)),
    case("OneHot", LABEL, whole(10), np.array([-1, 1], np.float32), axis=0),
    case("ScatterElements", "zeros", COLUMN, "ones", axis=1),
    case("ScatterND", ROWS, whole([2], [0]), "two rows", reduction="add"),
    # Constants
    case("Constant", value=numpy_helper.from_array(weights(2, 3))),
    case("ConstantOfShape", SIZES),
    case("ConstantOfShape", SIZES, value=numpy_helper.from_array(np.array([7], np.int64))),
    case("Range", np.int64(9), np.int64(2), np.int64(-2)),
    case("Shape", ROWS),
    case("Shape", ROWS, start=-3, end=-1),
    # Quantization
    case("DequantizeLinear", np.zeros((4, 3), np.int8), ONES, np.zeros(4, np.int8), axis=0),
    case("DequantizeLinear", np.zeros(4, np.int32), ONES, axis=0),
    case("QuantizeLinear", MAP, HALF, np.int8(3)),
    case("QuantizeLinear", ROWS, ONES, axis=2),
]


@pytest.mark.parametrize("case", CASES, ids=lambda each: each.operator)
def test_inferred_shapes_are_those_of_onnxruntime(tiny_model: Path, case: Case) -> None:
    model = read(tiny_model)
    names = add_case(model, case)
    check_against_onnxruntime(model, names)


def test_no_operator_is_untested() -> None:
    assert {each.operator for each in CASES} == set(OPERATORS)
