"""What a model file may hold: limits, element types, protobuf fields and operators.

The tables are data, which web/generate.py writes into the web page and into docs/contract.md.
shape_inference.py and web/src/shapes.js contain the shape rule of each operator.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from cgan_runtime.model_file.protobuf import Field

MAX_FILE_BYTES = 2**27
MAX_METADATA = 2**23  # characters
MAX_NODES, MAX_TENSORS, MAX_AXES = 1024, 4096, 6
MAX_INPUTS_AND_OUTPUTS = 6
# For a batch of MAX_BATCH images:
MAX_ELEMENTS = 2**28  # of all tensors together: 2 GiB if all were int64 and kept in memory
MAX_MULTIPLICATIONS = 2**38

FLOAT, UINT8, INT8, INT32, INT64, FLOAT16 = 1, 2, 3, 6, 7, 10  # of TensorProto.DataType
TYPE_NAMES = {
    FLOAT: "float",
    UINT8: "uint8",
    INT8: "int8",
    INT32: "int32",
    INT64: "int64",
    FLOAT16: "float16",
}
BYTES = {FLOAT: 4, UINT8: 1, INT8: 1, INT32: 4, INT64: 8, FLOAT16: 2}  # of one element

# The part of onnx.proto that cgan-export uses. External data, subgraphs, functions and sparse
# tensors are rejected because their fields are missing here.
_TEXT, _NUMBER = Field(str), Field(int)
_TEXTS, _NUMBERS = Field(str, repeated=True), Field(int, repeated=True)
_DIMENSION = Field({1: _NUMBER, 2: _TEXT}, repeated=True)
_TYPE = Field({1: Field({1: _NUMBER, 2: Field({1: _DIMENSION})})})
_VALUE = Field({1: _TEXT, 2: _TYPE, 3: _TEXT}, repeated=True)
_ATTRIBUTE = Field(
    {1: _TEXT, 2: Field(float), 3: _NUMBER, 4: _TEXT, 8: _NUMBERS, 13: _TEXT, 20: _NUMBER},
    repeated=True,
)
_NODE = Field(
    {1: _TEXTS, 2: _TEXTS, 3: _TEXT, 4: _TEXT, 5: _ATTRIBUTE, 6: _TEXT, 7: _TEXT}, repeated=True
)
_TENSOR = Field({1: _NUMBERS, 2: _NUMBER, 8: _TEXT, 9: Field(bytes), 12: _TEXT}, repeated=True)
_GRAPH = Field({1: _NODE, 2: _TEXT, 5: _TENSOR, 10: _TEXT, 11: _VALUE, 12: _VALUE})
_OPSET = Field({1: _TEXT, 2: _NUMBER}, repeated=True)
_ENTRY = Field({1: _TEXT, 2: _TEXT}, repeated=True)
_HEADER = dict.fromkeys((1, 5), _NUMBER) | dict.fromkeys((2, 3, 4, 6), _TEXT)
METADATA_SCHEMA = {14: _ENTRY}
MODEL_SCHEMA = _HEADER | {7: _GRAPH, 8: _OPSET} | METADATA_SCHEMA

# By kind of attribute: the field of its value, and its number in AttributeProto.AttributeType.
ATTRIBUTE_KINDS = {"float": (2, 1), "int": (3, 2), "text": (4, 3), "ints": (8, 7)}


class Attribute(NamedTuple):
    """An attribute that an operator may have."""

    kind: str  # of ATTRIBUTE_KINDS
    default: int | float | str | list[int] | None = None  # None: the attribute is required
    choices: tuple[str, ...] = ()  # of a text


class Operator(NamedTuple):
    """An operator with one output. Its types are variables, which `types` lists."""

    inputs: tuple[str, ...]  # the type of each input
    required: int  # inputs
    types: Mapping[str, tuple[int, ...]]  # that a variable may have, by its name
    output: str  # the type of the output; "to" is the attribute of Cast
    rule: str  # the name of its shape rule
    attributes: Mapping[str, Attribute] = MappingProxyType({})


_ANY = tuple(TYPE_NAMES)
_FLOAT: Mapping[str, tuple[int, ...]] = {"T": (FLOAT,)}
_ARITHMETIC, _OPTIONAL_INT = (FLOAT, INT32, INT64), Attribute("int", 0)
_QUANTIZED = (UINT8, INT8)

# The operators that cgan-export writes, and Add and Clip for simple graphs, such as those of tests.
OPERATORS = {
    "Add": Operator(("T", "T"), 2, {"T": _ARITHMETIC}, "T", "broadcast"),
    "Cast": Operator(("T",), 1, {"T": _ANY}, "to", "cast", {"to": Attribute("int")}),
    "Clip": Operator(("T", "T", "T"), 1, {"T": (*_ARITHMETIC, *_QUANTIZED)}, "T", "clip"),
    "Conv": Operator(
        ("T", "T", "T"),
        2,
        _FLOAT,
        "T",
        "conv",
        {
            "auto_pad": Attribute("text", "NOTSET", ("NOTSET",)),
            "dilations": Attribute("ints", [1, 1]),
            "group": Attribute("int", 1),
            "kernel_shape": Attribute("ints", []),  # empty: the shape of the weight
            "pads": Attribute("ints", [0, 0, 0, 0]),
            "strides": Attribute("ints", [1, 1]),
        },
    ),
    "DepthToSpace": Operator(
        ("T",),
        1,
        _FLOAT,
        "T",
        "depth_to_space",
        {"blocksize": Attribute("int"), "mode": Attribute("text", "DCR", ("DCR", "CRD"))},
    ),
    "DequantizeLinear": Operator(
        ("Q", "T", "Q"),
        2,
        {"Q": (*_QUANTIZED, INT32), **_FLOAT},
        "T",
        "quantize",
        {"axis": Attribute("int", 1)},
    ),
    "Gather": Operator(
        ("T", "I"),
        2,
        {"T": _ANY, "I": (INT32, INT64)},
        "T",
        "gather",
        {"axis": _OPTIONAL_INT},
    ),
    "Gemm": Operator(
        ("T", "T", "T"),
        2,
        _FLOAT,
        "T",
        "gemm",
        {
            "alpha": Attribute("float", 1.0),
            "beta": Attribute("float", 1.0),
            "transA": _OPTIONAL_INT,
            "transB": _OPTIONAL_INT,
        },
    ),
    "MatMul": Operator(("T", "T"), 2, _FLOAT, "T", "gemm"),
    "Mul": Operator(("T", "T"), 2, {"T": _ARITHMETIC}, "T", "broadcast"),
    "QuantizeLinear": Operator(
        ("T", "T", "Q"),
        2,
        {"Q": _QUANTIZED, **_FLOAT},
        "Q",
        "quantize",
        {"axis": Attribute("int", 1)},
    ),
    "Relu": Operator(("T",), 1, {"T": (FLOAT, INT8, INT32)}, "T", "elementwise"),
    "Reshape": Operator(
        ("T", "S"), 2, {"T": _ANY, "S": (INT64,)}, "T", "reshape", {"allowzero": _OPTIONAL_INT}
    ),
    "Sigmoid": Operator(("T",), 1, _FLOAT, "T", "elementwise"),
    "Transpose": Operator(("T",), 1, {"T": _ANY}, "T", "transpose", {"perm": Attribute("ints")}),
}
