"""What a model file may hold: limits, element types, protobuf fields and operators.

The tables are data, which web/generate.py writes into the web page and into docs/contract.md.
layout_rules.py and layer_rules.py contain the shape rule of each operator, and so do layout.js and
layers.js of web/src.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from cgan_runtime.model_file.protobuf import Field

MAX_FILE_BYTES = 2**27
MAX_METADATA = 2**23  # characters
MAX_NODES, MAX_TENSORS, MAX_AXES = 4096, 8192, 8
MAX_INPUTS_AND_OUTPUTS = 6
# For one run, whose number of images follows from these limits, and for one image of it:
MAX_ELEMENTS, MAX_IMAGE_ELEMENTS = 2**28, 2**27  # of all tensors: 2 GiB and 1 GiB of int64
MAX_MULTIPLICATIONS, MAX_IMAGE_MULTIPLICATIONS = 2**38, 2**35

# TensorProto.DataType
FLOAT, UINT8, INT8, INT32, INT64, BOOL, FLOAT16, DOUBLE = 1, 2, 3, 6, 7, 9, 10, 11
TYPE_NAMES = {
    FLOAT: "float",
    UINT8: "uint8",
    INT8: "int8",
    INT32: "int32",
    INT64: "int64",
    BOOL: "bool",
    FLOAT16: "float16",
    DOUBLE: "double",
}
BYTES = {FLOAT: 4, UINT8: 1, INT8: 1, INT32: 4, INT64: 8, BOOL: 1, FLOAT16: 2, DOUBLE: 8}

# The part of onnx.proto that cgan-export uses. External data, subgraphs, functions and sparse
# tensors are rejected because their fields are missing here.
_TEXT, _NUMBER = Field(str), Field(int)
_TEXTS, _NUMBERS = Field(str, repeated=True), Field(int, repeated=True)
_DIMENSION = Field({1: _NUMBER, 2: _TEXT}, repeated=True)
_TYPE = Field({1: Field({1: _NUMBER, 2: Field({1: _DIMENSION})})})
_VALUE = Field({1: _TEXT, 2: _TYPE, 3: _TEXT}, repeated=True)
_TENSOR_FIELDS = {1: _NUMBERS, 2: _NUMBER, 8: _TEXT, 9: Field(bytes), 12: _TEXT}
_ATTRIBUTE = Field(
    {
        1: _TEXT,
        2: Field(float),
        3: _NUMBER,
        4: _TEXT,
        5: Field(_TENSOR_FIELDS),
        8: _NUMBERS,
        13: _TEXT,
        20: _NUMBER,
    },
    repeated=True,
)
_NODE = Field(
    {1: _TEXTS, 2: _TEXTS, 3: _TEXT, 4: _TEXT, 5: _ATTRIBUTE, 6: _TEXT, 7: _TEXT}, repeated=True
)
_TENSOR = Field(_TENSOR_FIELDS, repeated=True)
_GRAPH = Field({1: _NODE, 2: _TEXT, 5: _TENSOR, 10: _TEXT, 11: _VALUE, 12: _VALUE})
_OPSET = Field({1: _TEXT, 2: _NUMBER}, repeated=True)
_ENTRY = Field({1: _TEXT, 2: _TEXT}, repeated=True)
_HEADER = dict.fromkeys((1, 5), _NUMBER) | dict.fromkeys((2, 3, 4, 6), _TEXT)
METADATA_SCHEMA = {14: _ENTRY}
MODEL_SCHEMA = _HEADER | {7: _GRAPH, 8: _OPSET} | METADATA_SCHEMA

# By kind of attribute: the field of its value, and its number in AttributeProto.AttributeType.
ATTRIBUTE_KINDS = {"float": (2, 1), "int": (3, 2), "text": (4, 3), "tensor": (5, 4), "ints": (8, 7)}


class Attribute(NamedTuple):
    """An attribute that an operator may have."""

    kind: str  # of ATTRIBUTE_KINDS
    # An int, float, str or list of int, or the type of a tensor; None: the attribute is required.
    default: Any = None
    choices: tuple[int | str, ...] = ()  # of an int or a text


class Operator(NamedTuple):
    """An operator. The type of each input and of the outputs is a variable: T, or one of below."""

    inputs: str  # a variable for each input
    required: int  # inputs
    types: tuple[int, ...]  # that T may be
    rule: str  # the name of its shape rule
    attributes: Mapping[str, Attribute] = MappingProxyType({})
    output: str = "T"  # a variable, or the attribute that is a type or a tensor of the type
    variadic: bool = False  # the last input may be repeated


REAL = FLOAT, FLOAT16, DOUBLE
NUMBER = (*REAL, INT32, INT64)
ANY = tuple(TYPE_NAMES)
# An output whose variable no input has is of the first of these types.
VARIABLES = {
    "B": (BOOL,),
    "D": (UINT8, INT8, INT32),  # can be dequantized
    "I": (INT64, INT32),  # an index
    "L": (INT64,),  # an index of GatherND
    "N": NUMBER,
    "Q": (UINT8, INT8),  # quantized
    "R": (FLOAT,),  # the content is ratios of sizes
    "S": (INT64,),  # the content is sizes, axes or positions
}


def _int(default: int | None = None, *choices: int) -> Attribute:
    return Attribute("int", default, choices)


def _float(default: float) -> Attribute:
    return Attribute("float", default)


def _text(*choices: str) -> Attribute:
    """Return an attribute whose default is the first choice."""
    return Attribute("text", choices[0], choices)


def _attributes(names: str, attribute: Attribute) -> dict[str, Attribute]:
    return dict.fromkeys(names.split(), attribute)


def _operators(names: str, *description: Any, **more: Any) -> dict[str, Operator]:
    return dict.fromkeys(names.split(), Operator(*description, **more))


_AXIS, _INTS = _attributes("axis", _int(0)), Attribute("ints", [])
_ALPHA, _EPSILON = {"alpha": _float(1.0)}, {"epsilon": _float(1e-5)}
# Empty lists stand for ones, for zeros, and for the shape of the weight.
_POSITIONS = _attributes("dilations pads strides", _INTS)
_WINDOW = _POSITIONS | {"auto_pad": _text("NOTSET"), "kernel_shape": _INTS}
_FILTER, _POOL = _WINDOW | {"group": _int(1)}, _WINDOW | {"ceil_mode": _int(0)}
_REDUCE = {"keepdims": _int(1), "noop_with_empty_axes": _int(0)}
_ARG = _AXIS | {"keepdims": _int(1), "select_last_index": _int(0)}
_GEMM = _attributes("alpha beta", _float(1.0)) | _attributes("transA transB", _int(0))
_REDUCTION = {"reduction": _text("none", "add", "mul")}
_GRID_SAMPLE = {
    "align_corners": _int(0),
    "mode": _text("linear", "bilinear", "nearest", "cubic", "bicubic"),
    "padding_mode": _text("zeros", "border", "reflection"),
}
_RESIZE = {
    **_attributes("antialias exclude_outside", _int(0)),
    "coordinate_transformation_mode": _text(
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"
    ),
    "cubic_coeff_a": _float(-0.75),
    "extrapolation_value": _float(0.0),
    "keep_aspect_ratio_policy": _text("stretch"),
    "mode": _text("nearest", "linear", "cubic"),
    "nearest_mode": _text("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
}

# The operators that traces of image generators, and their quantization, contain.
OPERATORS: Mapping[str, Operator] = {
    # Elementwise
    **_operators("Abs Neg Sign", "T", 1, NUMBER, "elementwise"),
    **_operators(
        "Acos Asin Atan Ceil Cos Cosh Erf Exp Floor HardSwish Log Reciprocal Round Sigmoid Sin "
        "Sinh Softplus Softsign Sqrt Tan Tanh",
        *("T", 1, REAL, "elementwise"),
    ),
    **_operators("Identity", "T", 1, ANY, "elementwise"),
    **_operators("Not", "T", 1, (BOOL,), "elementwise"),
    **_operators("Relu", "T", 1, (*NUMBER, INT8), "elementwise"),
    **_operators("LeakyRelu", "T", 1, REAL, "elementwise", {"alpha": _float(0.01)}),
    **_operators("ThresholdedRelu", "T", 1, REAL, "elementwise", _ALPHA),
    **_operators("Celu Elu", "T", 1, REAL, "composed", _ALPHA),
    **_operators("Gelu", "T", 1, REAL, "composed", {"approximate": _text("none", "tanh")}),
    **_operators(
        "HardSigmoid", "T", 1, REAL, "elementwise", {"alpha": _float(0.2), "beta": _float(0.5)}
    ),
    **_operators("Mish", "T", 1, REAL, "composed"),
    **_operators(
        "Selu", "T", 1, REAL, "elementwise", {"alpha": _float(1.67326), "gamma": _float(1.0507)}
    ),
    **_operators("IsNaN", "T", 1, REAL, "elementwise", output="B"),
    **_operators(
        "IsInf",
        *("T", 1, REAL, "elementwise"),
        _attributes("detect_negative detect_positive", _int(1)),
        output="B",
    ),
    **_operators("Cast", "T", 1, ANY, "cast", {"saturate": _int(1), "to": _int()}, output="to"),
    **_operators("Clip", "TTT", 1, (*NUMBER, UINT8, INT8), "clip"),
    # Several tensors
    **_operators("Add Div Mul Sub", "TT", 2, NUMBER, "broadcast"),
    **_operators("And Or Xor", "TT", 2, (BOOL,), "broadcast"),
    **_operators("Mod", "TT", 2, NUMBER, "broadcast", {"fmod": _int(0)}),
    **_operators("Pow", "TN", 2, NUMBER, "broadcast"),
    **_operators("PRelu", "TT", 2, REAL, "prelu"),
    **_operators("Equal", "TT", 2, (*NUMBER, BOOL), "broadcast", output="B"),
    **_operators(
        "Greater GreaterOrEqual Less LessOrEqual", "TT", 2, NUMBER, "broadcast", output="B"
    ),
    **_operators("Max Min Sum", "T", 1, NUMBER, "broadcast", variadic=True),
    **_operators("Where", "BTT", 3, ANY, "broadcast"),
    # Along axes
    **_operators("LogSoftmax Softmax", "T", 1, REAL, "along_axis", {"axis": _int(-1)}),
    **_operators(
        "ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
        "ReduceSumSquare",
        *("TS", 1, NUMBER, "reduce", _REDUCE),
    ),
    **_operators("ArgMax ArgMin", "T", 1, NUMBER, "arg", _ARG, output="S"),
    **_operators("CumSum", "TS", 2, NUMBER, "cumulate", _attributes("exclusive reverse", _int(0))),
    # Normalization
    **_operators(
        "BatchNormalization",
        *("TTTTT", 5, REAL, "channel_norm"),
        _EPSILON | {"momentum": _float(0.9), "training_mode": _int(0, 0)},
    ),
    **_operators(
        "GroupNormalization",
        *("TTT", 3, REAL, "group_norm"),
        _EPSILON | {"num_groups": _int(), "stash_type": _int(1)},
    ),
    **_operators("InstanceNormalization", "TTT", 3, REAL, "channel_norm", _EPSILON),
    **_operators(
        "LayerNormalization",
        *("TTT", 2, REAL, "layer_norm"),
        _EPSILON | {"axis": _int(-1), "stash_type": _int(1)},
    ),
    # Layers
    **_operators("Conv", "TTT", 2, REAL, "conv", _FILTER),
    **_operators(
        "ConvTranspose", "TTT", 2, REAL, "conv_transpose", _FILTER | {"output_padding": _INTS}
    ),
    **_operators(
        "Einsum", "T", 1, NUMBER, "einsum", {"equation": Attribute("text")}, variadic=True
    ),
    **_operators("Gemm", "TTT", 2, REAL, "gemm", _GEMM),
    **_operators("MatMul", "TT", 2, NUMBER, "matmul"),
    # Images
    **_operators("AveragePool", "T", 1, REAL, "pool", _POOL | {"count_include_pad": _int(0)}),
    **_operators("MaxPool", "T", 1, REAL, "pool", _POOL | {"storage_order": _int(0, 0)}),
    **_operators("GlobalAveragePool GlobalMaxPool", "T", 1, REAL, "global_pool"),
    **_operators("Col2Im", "TSS", 3, REAL, "col2im", _POSITIONS),
    **_operators(
        "DepthToSpace",
        *("T", 1, REAL, "depth_to_space"),
        {"blocksize": _int(), "mode": _text("DCR", "CRD")},
    ),
    **_operators("SpaceToDepth", "T", 1, REAL, "space_to_depth", {"blocksize": _int()}),
    **_operators("GridSample", "TT", 2, REAL, "grid_sample", _GRID_SAMPLE),
    **_operators("Resize", "TRRS", 1, REAL, "resize", _RESIZE),
    # Shapes
    **_operators("Concat", "T", 1, ANY, "concat", {"axis": _int()}, variadic=True),
    **_operators("Expand", "TS", 2, ANY, "expand"),
    **_operators("Flatten", "T", 1, ANY, "flatten", {"axis": _int(1)}),
    **_operators(
        "Pad", "TSTS", 2, ANY, "pad", {"mode": _text("constant", "edge", "reflect", "wrap")}
    ),
    **_operators("Reshape", "TS", 2, ANY, "reshape", {"allowzero": _int(0)}),
    **_operators("Slice", "TSSSS", 3, ANY, "slice"),
    **_operators("Split", "TS", 1, ANY, "split", _AXIS | {"num_outputs": _int(0)}),
    **_operators("Squeeze", "TS", 1, ANY, "squeeze"),
    **_operators("Tile", "TS", 2, ANY, "tile"),
    **_operators("Transpose", "T", 1, ANY, "transpose", {"perm": Attribute("ints")}),
    **_operators("Trilu", "TS", 1, ANY, "trilu", {"upper": _int(1)}),
    **_operators("Unsqueeze", "TS", 2, ANY, "unsqueeze"),
    # Selection
    **_operators("Gather", "TI", 2, ANY, "gather", _AXIS),
    **_operators("GatherElements", "TI", 2, ANY, "gather_elements", _AXIS),
    **_operators("GatherND", "TL", 2, ANY, "gather_nd", {"batch_dims": _int(0, 0)}),
    **_operators("OneHot", "IST", 3, ANY, "one_hot", {"axis": _int(-1)}),
    **_operators("ScatterElements", "TIT", 3, ANY, "scatter_elements", _AXIS | _REDUCTION),
    **_operators("ScatterND", "TLT", 3, ANY, "scatter_nd", _REDUCTION),
    # Constants
    **_operators("Constant", "", 0, ANY, "constant", {"value": Attribute("tensor")}, "value"),
    **_operators(
        "ConstantOfShape",
        *("S", 1, ANY, "constant_of_shape", {"value": Attribute("tensor", FLOAT)}, "value"),
    ),
    **_operators("Range", "SSS", 3, ANY, "range", output="S"),
    **_operators("Shape", "T", 1, ANY, "shape", {"start": _int(0), "end": _int(2**31)}, output="S"),
    # Quantization
    **_operators("DequantizeLinear", "DTD", 2, REAL, "quantize", {"axis": _int(1)}),
    **_operators(
        "QuantizeLinear",
        *("TTQ", 2, REAL, "quantize", {"axis": _int(1), "saturate": _int(1)}, "Q"),
    ),
}
OPERATORS = dict(sorted(OPERATORS.items()))
