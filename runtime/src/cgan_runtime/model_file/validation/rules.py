"""What a model file may contain: limits, element types, protobuf fields and operators.

The tables are data, which web/generate.py writes into the web page and into docs/contract.md.
math_rules.py, tensor_rules.py and spatial_rules.py contain the shape rules of the operators.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from cgan_runtime.model_file.protobuf import Field

MAX_FILE_BYTES = 2**27
MAX_METADATA = 2**23  # largest number of characters of all keys and values
MAX_NODES, MAX_TENSORS, MAX_AXES = 4096, 8192, 8
MAX_INPUTS_AND_OUTPUTS = 6
# Limits of one session.run and of one image. The batch size is reduced until a run fits.
MAX_ELEMENTS, MAX_IMAGE_ELEMENTS = 2**28, 2**27  # all tensors: 2 GiB and 1 GiB of int64
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
ELEMENT_BYTES = {FLOAT: 4, UINT8: 1, INT8: 1, INT32: 4, INT64: 8, BOOL: 1, FLOAT16: 2, DOUBLE: 8}

# The part of onnx.proto that cgan-export uses. External data, subgraphs, functions and sparse
# tensors are rejected because their fields are missing here.
_TENSOR = {
    1: Field("dims", int, repeated=True),
    2: Field("data_type", int),
    8: Field("name", str),
    9: Field("raw_data", bytes),
    12: Field("doc_string", str),
}
_ATTRIBUTE = {
    1: Field("name", str),
    2: Field("f", float),
    3: Field("i", int),
    4: Field("s", str),
    5: Field("t", _TENSOR),
    8: Field("ints", int, repeated=True),
    13: Field("doc_string", str),
    20: Field("type", int),
}
_NODE = {
    1: Field("input", str, repeated=True),
    2: Field("output", str, repeated=True),
    3: Field("name", str),
    4: Field("op_type", str),
    5: Field("attribute", _ATTRIBUTE, repeated=True),
    6: Field("doc_string", str),
    7: Field("domain", str),
}
_DIMENSION = {1: Field("dim_value", int), 2: Field("dim_param", str)}
_SHAPE = {1: Field("dim", _DIMENSION, repeated=True)}
_TENSOR_TYPE = {1: Field("elem_type", int), 2: Field("shape", _SHAPE)}
_VALUE = {
    1: Field("name", str),
    2: Field("type", {1: Field("tensor_type", _TENSOR_TYPE)}),
    3: Field("doc_string", str),
}
_GRAPH = {
    1: Field("node", _NODE, repeated=True),
    2: Field("name", str),
    5: Field("initializer", _TENSOR, repeated=True),
    10: Field("doc_string", str),
    11: Field("input", _VALUE, repeated=True),
    12: Field("output", _VALUE, repeated=True),
}
_OPERATOR_SET = {1: Field("domain", str), 2: Field("version", int)}
METADATA_SCHEMA = {
    14: Field("metadata_props", {1: Field("key", str), 2: Field("value", str)}, repeated=True)
}
MODEL_SCHEMA = METADATA_SCHEMA | {
    1: Field("ir_version", int),
    2: Field("producer_name", str),
    3: Field("producer_version", str),
    4: Field("domain", str),
    5: Field("model_version", int),
    6: Field("doc_string", str),
    7: Field("graph", _GRAPH),
    8: Field("opset_import", _OPERATOR_SET, repeated=True),
}

# kind of an attribute: (field of AttributeProto that holds the value, AttributeType)
ATTRIBUTE_KINDS = {
    "float": ("f", 1),
    "int": ("i", 2),
    "string": ("s", 3),
    "tensor": ("t", 4),
    "ints": ("ints", 7),
}


class Attribute(NamedTuple):
    """An attribute that an operator may have."""

    kind: str  # a key of ATTRIBUTE_KINDS
    # An int, a float, a str or a list of int; for a tensor, its type. None: it is required.
    default: Any = None
    choices: tuple[int | str, ...] = ()  # allowed values of an int or a string; (): all


class Operator(NamedTuple):
    """What a node of an operator may look like.

    Each input has a type variable, one letter: T, or a key of VARIABLES. Inputs with the same
    variable have the same type. The output's type is that of a variable or of an attribute.
    """

    inputs: str  # type variable of each input
    required: int  # number of inputs that must be present
    types: tuple[int, ...]  # types that T allows
    rule: str  # name of the shape rule
    attributes: Mapping[str, Attribute] = MappingProxyType({})
    output: str = "T"  # type variable of the outputs
    # Name of the attribute that gives the output's type instead of `output`, as a type or a tensor.
    type_attribute: str | None = None
    variadic: bool = False  # whether the last input may be repeated


REAL = FLOAT, FLOAT16, DOUBLE
NUMBER = (*REAL, INT32, INT64)
ANY = tuple(TYPE_NAMES)
# Types that a variable allows. If no input has the variable of the output, the first type is used.
VARIABLES = {
    "B": (BOOL,),
    "D": (UINT8, INT8, INT32),  # types that DequantizeLinear accepts
    "I": (INT64, INT32),  # indices
    "L": (INT64,),  # indices of GatherND and ScatterND
    "N": NUMBER,
    "Q": (UINT8, INT8),  # quantized values
    "R": (FLOAT,),  # ratios of sizes; the shape of the output depends on the values
    "S": (INT64,),  # sizes, axes or positions; the shape of the output depends on the values
}
SHAPE_VARIABLES = {"R", "S"}


def _int(default: int | None = None, *choices: int) -> Attribute:
    return Attribute("int", default, choices)


def _float(default: float) -> Attribute:
    return Attribute("float", default)


def _string(*choices: str) -> Attribute:
    """Return an attribute whose default is the first choice."""
    return Attribute("string", choices[0], choices)


def _attributes(names: str, attribute: Attribute) -> dict[str, Attribute]:
    """Return attributes with the same kind, default and choices."""
    return dict.fromkeys(names.split(), attribute)


def _operators(
    names: str,
    types: tuple[int, ...],
    attributes: Mapping[str, Attribute] = MappingProxyType({}),
    *,
    rule: str,
    inputs: str = "T",
    required: int | None = None,
    **options: Any,
) -> dict[str, Operator]:
    """Return operators with the same description. By default, all inputs are required."""
    count = len(inputs) if required is None else required
    operator = Operator(inputs, count, types, rule, attributes, **options)
    return dict.fromkeys(names.split(), operator)


_AXIS, _INTS = _attributes("axis", _int(0)), Attribute("ints", [])
_ALPHA, _EPSILON = {"alpha": _float(1.0)}, {"epsilon": _float(1e-5)}
# An empty list means the default: ones for dilations and strides, zeros for pads, the weight's
# shape for kernel_shape.
_POSITIONS = _attributes("dilations pads strides", _INTS)
_WINDOW = _POSITIONS | {"auto_pad": _string("NOTSET"), "kernel_shape": _INTS}
_FILTER, _POOL = _WINDOW | {"group": _int(1)}, _WINDOW | {"ceil_mode": _int(0)}
_REDUCE = {"keepdims": _int(1), "noop_with_empty_axes": _int(0)}
_ARG = _AXIS | {"keepdims": _int(1), "select_last_index": _int(0)}
_GEMM = _attributes("alpha beta", _float(1.0)) | _attributes("transA transB", _int(0))
_REDUCTION = {"reduction": _string("none", "add", "mul")}
_GRID_SAMPLE = {
    "align_corners": _int(0),
    "mode": _string("linear", "bilinear", "nearest", "cubic", "bicubic"),
    "padding_mode": _string("zeros", "border", "reflection"),
}
_RESIZE = {
    **_attributes("antialias exclude_outside", _int(0)),
    "coordinate_transformation_mode": _string(
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"
    ),
    "cubic_coeff_a": _float(-0.75),
    "extrapolation_value": _float(0.0),
    "keep_aspect_ratio_policy": _string("stretch"),
    "mode": _string("nearest", "linear", "cubic"),
    "nearest_mode": _string("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
}

# The operators that traces of image generators, and their quantization, contain.
OPERATORS: Mapping[str, Operator] = {
    # Elementwise
    **_operators("Abs Neg Sign", NUMBER, rule="elementwise"),
    **_operators(
        "Acos Asin Atan Ceil Cos Cosh Erf Exp Floor HardSwish Log Reciprocal Round Sigmoid Sin "
        "Sinh Softplus Softsign Sqrt Tan Tanh",
        REAL,
        rule="elementwise",
    ),
    **_operators("Identity", ANY, rule="elementwise"),
    **_operators("Not", (BOOL,), rule="elementwise"),
    **_operators("Relu", (*NUMBER, INT8), rule="elementwise"),
    **_operators("LeakyRelu", REAL, {"alpha": _float(0.01)}, rule="elementwise"),
    **_operators("ThresholdedRelu", REAL, _ALPHA, rule="elementwise"),
    **_operators("Celu Elu", REAL, _ALPHA, rule="composed"),
    **_operators("Gelu", REAL, {"approximate": _string("none", "tanh")}, rule="composed"),
    **_operators(
        "HardSigmoid", REAL, {"alpha": _float(0.2), "beta": _float(0.5)}, rule="elementwise"
    ),
    **_operators("Mish", REAL, rule="composed"),
    **_operators(
        "Selu", REAL, {"alpha": _float(1.67326), "gamma": _float(1.0507)}, rule="elementwise"
    ),
    **_operators("IsNaN", REAL, rule="elementwise", output="B"),
    **_operators(
        "IsInf",
        REAL,
        _attributes("detect_negative detect_positive", _int(1)),
        rule="elementwise",
        output="B",
    ),
    **_operators(
        "Cast", ANY, {"saturate": _int(1), "to": _int()}, rule="cast", type_attribute="to"
    ),
    **_operators("Clip", (*NUMBER, UINT8, INT8), inputs="TTT", required=1, rule="clip"),
    # Several tensors
    **_operators("Add Div Mul Sub", NUMBER, inputs="TT", rule="broadcast"),
    **_operators("And Or Xor", (BOOL,), inputs="TT", rule="broadcast"),
    **_operators("Mod", NUMBER, {"fmod": _int(0)}, inputs="TT", rule="broadcast"),
    **_operators("Pow", NUMBER, inputs="TN", rule="broadcast"),
    **_operators("PRelu", REAL, inputs="TT", rule="prelu"),
    **_operators("Equal", (*NUMBER, BOOL), inputs="TT", rule="broadcast", output="B"),
    **_operators(
        "Greater GreaterOrEqual Less LessOrEqual", NUMBER, inputs="TT", rule="broadcast", output="B"
    ),
    **_operators("Max Min Sum", NUMBER, rule="broadcast", variadic=True),
    **_operators("Where", ANY, inputs="BTT", rule="broadcast"),
    # Along axes
    **_operators("LogSoftmax Softmax", REAL, {"axis": _int(-1)}, rule="along_axis"),
    **_operators(
        "ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
        "ReduceSumSquare",
        NUMBER,
        _REDUCE,
        inputs="TS",
        required=1,
        rule="reduce",
    ),
    **_operators("ArgMax ArgMin", NUMBER, _ARG, rule="arg", output="S"),
    **_operators(
        "CumSum", NUMBER, _attributes("exclusive reverse", _int(0)), inputs="TS", rule="cumulate"
    ),
    # Normalization
    **_operators(
        "BatchNormalization",
        REAL,
        _EPSILON | {"momentum": _float(0.9), "training_mode": _int(0, 0)},
        inputs="TTTTT",
        rule="channel_norm",
    ),
    **_operators(
        "GroupNormalization",
        REAL,
        _EPSILON | {"num_groups": _int(), "stash_type": _int(1)},
        inputs="TTT",
        rule="group_norm",
    ),
    **_operators("InstanceNormalization", REAL, _EPSILON, inputs="TTT", rule="channel_norm"),
    **_operators(
        "LayerNormalization",
        REAL,
        _EPSILON | {"axis": _int(-1), "stash_type": _int(1)},
        inputs="TTT",
        required=2,
        rule="layer_norm",
    ),
    # Layers
    **_operators("Conv", REAL, _FILTER, inputs="TTT", required=2, rule="conv"),
    **_operators(
        "ConvTranspose",
        REAL,
        _FILTER | {"output_padding": _INTS},
        inputs="TTT",
        required=2,
        rule="conv_transpose",
    ),
    **_operators("Einsum", NUMBER, {"equation": Attribute("string")}, rule="einsum", variadic=True),
    **_operators("Gemm", REAL, _GEMM, inputs="TTT", required=2, rule="gemm"),
    **_operators("MatMul", NUMBER, inputs="TT", rule="matmul"),
    # Images
    **_operators("AveragePool", REAL, _POOL | {"count_include_pad": _int(0)}, rule="pool"),
    **_operators("MaxPool", REAL, _POOL | {"storage_order": _int(0, 0)}, rule="pool"),
    **_operators("GlobalAveragePool GlobalMaxPool", REAL, rule="global_pool"),
    **_operators("Col2Im", REAL, _POSITIONS, inputs="TSS", rule="col2im"),
    **_operators(
        "DepthToSpace",
        REAL,
        {"blocksize": _int(), "mode": _string("DCR", "CRD")},
        rule="depth_to_space",
    ),
    **_operators("SpaceToDepth", REAL, {"blocksize": _int()}, rule="space_to_depth"),
    **_operators("GridSample", REAL, _GRID_SAMPLE, inputs="TT", rule="grid_sample"),
    **_operators("Resize", REAL, _RESIZE, inputs="TRRS", required=1, rule="resize"),
    # Shapes
    **_operators("Concat", ANY, {"axis": _int()}, rule="concat", variadic=True),
    **_operators("Expand", ANY, inputs="TS", rule="expand"),
    **_operators("Flatten", ANY, {"axis": _int(1)}, rule="flatten"),
    **_operators(
        "Pad",
        ANY,
        {"mode": _string("constant", "edge", "reflect", "wrap")},
        inputs="TSTS",
        required=2,
        rule="pad",
    ),
    **_operators("Reshape", ANY, {"allowzero": _int(0)}, inputs="TS", rule="reshape"),
    **_operators("Slice", ANY, inputs="TSSSS", required=3, rule="slice"),
    **_operators(
        "Split", ANY, _AXIS | {"num_outputs": _int(0)}, inputs="TS", required=1, rule="split"
    ),
    **_operators("Squeeze", ANY, inputs="TS", required=1, rule="squeeze"),
    **_operators("Tile", ANY, inputs="TS", rule="tile"),
    **_operators("Transpose", ANY, {"perm": Attribute("ints")}, rule="transpose"),
    **_operators("Trilu", ANY, {"upper": _int(1)}, inputs="TS", required=1, rule="trilu"),
    **_operators("Unsqueeze", ANY, inputs="TS", rule="unsqueeze"),
    # Selection
    **_operators("Gather", ANY, _AXIS, inputs="TI", rule="gather"),
    **_operators("GatherElements", ANY, _AXIS, inputs="TI", rule="gather_elements"),
    **_operators("GatherND", ANY, {"batch_dims": _int(0, 0)}, inputs="TL", rule="gather_nd"),
    **_operators("OneHot", ANY, {"axis": _int(-1)}, inputs="IST", rule="one_hot"),
    **_operators("ScatterElements", ANY, _AXIS | _REDUCTION, inputs="TIT", rule="scatter_elements"),
    **_operators("ScatterND", ANY, _REDUCTION, inputs="TLT", rule="scatter_nd"),
    # Constants
    **_operators(
        "Constant",
        ANY,
        {"value": Attribute("tensor")},
        inputs="",
        rule="constant",
        type_attribute="value",
    ),
    **_operators(
        "ConstantOfShape",
        ANY,
        {"value": Attribute("tensor", FLOAT)},
        inputs="S",
        rule="constant_of_shape",
        type_attribute="value",
    ),
    **_operators("Range", ANY, inputs="SSS", rule="range", output="S"),
    **_operators("Shape", ANY, {"start": _int(0), "end": _int(2**31)}, rule="shape", output="S"),
    # Quantization
    **_operators(
        "DequantizeLinear", REAL, {"axis": _int(1)}, inputs="DTD", required=2, rule="quantize"
    ),
    **_operators(
        "QuantizeLinear",
        REAL,
        {"axis": _int(1), "saturate": _int(1)},
        inputs="TTQ",
        required=2,
        rule="quantize",
        output="Q",
    ),
}
OPERATORS = dict(sorted(OPERATORS.items()))
