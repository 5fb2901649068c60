"""Graphs that are rejected before onnxruntime opens them. All have a valid checksum."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cgan_runtime import generator as generator_module
from cgan_runtime.errors import ModelError
from cgan_runtime.generator import SHIPPED_MODEL, ImageGenerator
from cgan_runtime.model_file.checksum import CHECKSUM_BYTES, add_checksum
from cgan_runtime.model_file.contract import CONTRACT_KEY, IMAGE, LABEL, MAX_BATCH, NOISE
from cgan_runtime.model_file.graph_validation import declared_specs, validate_model
from cgan_runtime.model_file.rules import (
    MAX_ELEMENTS,
    MAX_FILE_BYTES,
    MAX_METADATA,
    MAX_NODES,
    OPERATORS,
)

Edit = Callable[[onnx.ModelProto], object]
Shapes = Callable[[bytes], dict[str, tuple[int, ...]]]


@pytest.fixture
def model(tiny_model: Path) -> onnx.ModelProto:
    """The tiny model without its checksum."""
    model = onnx.ModelProto()
    model.ParseFromString(tiny_model.read_bytes()[:-CHECKSUM_BYTES])
    return model


def error_of(content: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        validate_model(content, "m.onnx")
    message = str(caught.value)
    assert message.startswith("m.onnx ")
    assert "; " in message
    assert "\n" not in message
    assert len(message) < 400
    return message


def error_after(model: onnx.ModelProto, edit: Edit) -> str:
    edit(model)
    return error_of(add_checksum(model.SerializeToString()))


def node(model: onnx.ModelProto, operator: str) -> Any:
    (found,) = [each for each in model.graph.node if each.op_type == operator]
    return found


def tensor(model: onnx.ModelProto, name: str) -> Any:
    (found,) = [each for each in model.graph.initializer if each.name == name]
    return found


def add_node(model: onnx.ModelProto, operator: str, *inputs: Any, **attributes: Any) -> None:
    """Add a node whose inputs are names, or arrays that become initializers."""
    names = []
    for value in inputs:
        name = value if isinstance(value, str) else f"tensor{len(model.graph.initializer)}"
        if not isinstance(value, str):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        names.append(name)
    output = f"output{len(model.graph.node)}"
    model.graph.node.append(helper.make_node(operator, names, [output], **attributes))


def zeros(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def test_shapes_equal_those_that_onnx_infers(tiny_model: Path, shapes_of: Shapes) -> None:
    for path in (tiny_model, SHIPPED_MODEL):
        shapes = shapes_of(path.read_bytes())
        assert IMAGE in shapes
        assert sum(map(math.prod, shapes.values())) < MAX_ELEMENTS / 10


def test_declared_tensors_are_those_that_onnxruntime_reports(tiny_model: Path) -> None:
    session = onnxruntime.InferenceSession(tiny_model, providers=["CPUExecutionProvider"])
    reported = session.get_inputs(), session.get_outputs()
    for specs, nodes in zip(declared_specs(tiny_model.read_bytes()), reported, strict=True):
        assert [(*each[:2], each.shape) for each in specs] == [
            (each.name, each.type, each.shape) for each in nodes
        ]


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Tile", [zeros(1), np.array([2**40])], {}),
        ("Expand", [zeros(1), np.array([2**40])], {}),
        ("ConstantOfShape", [np.array([2**40])], {}),
        ("Range", [np.float32(0), np.float32(2**40), np.float32(1)], {}),
        ("Pad", [zeros(1), np.array([2**40, 0])], {}),
        ("MatMulInteger", [zeros(2, 2), zeros(2, 2)], {}),
        ("RandomNormal", [], {"shape": [2**20, 2**20]}),
        ("Constant", [], {"value_int": 1}),
        ("ConvTranspose", [zeros(1, 1, 2, 2), zeros(1, 1, 2, 2)], {}),
        ("NoSuch", [NOISE], {}),
        ("relu", [NOISE], {}),
    ],
)
def test_operator_that_is_not_allowed_is_rejected(
    model: onnx.ModelProto, operator: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    message = error_after(model, lambda it: add_node(it, operator, *inputs, **attributes))
    assert f"(operator '{operator}' of domain ''); export it again" in message


@pytest.mark.parametrize("domain", ["ai.onnx", "com.microsoft", "ai.onnx.ml"])
def test_operator_of_another_domain_is_rejected(model: onnx.ModelProto, domain: str) -> None:
    message = error_after(model, lambda it: add_node(it, "Gemm", NOISE, NOISE, domain=domain))
    assert f"operator 'Gemm' of domain '{domain}'" in message


def loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    add_node(model, "Loop", np.array(2**62), np.array(True), body=body)


def external(model: onnx.ModelProto) -> None:
    onnx.external_data_helper.set_external_data(tensor(model, "weight"), "../../etc/passwd")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (loop, "field 6"),
        (external, "field 13"),
        (lambda it: it.functions.add(name="f", domain="d"), "field 25"),
        (lambda it: it.training_info.add(), "field 20"),
        (lambda it: it.graph.sparse_initializer.add(), "field 15"),
        (lambda it: it.graph.value_info.add(name="sum"), "field 13"),
        (lambda it: tensor(it, "weight").float_data.append(1), "field 4"),
        (lambda it: node(it, "Gemm").attribute.add(name="alpha", ref_attr_name="a"), "field 21"),
        (lambda it: it.opset_import.add(domain="ai.onnx.ml", version=1), "operator sets"),
        (lambda it: it.ClearField("opset_import"), "operator sets"),
        (lambda it: setattr(it.opset_import[0], "version", 18), "operator sets"),
        (lambda it: setattr(it.opset_import[0], "version", 2**40), "operator sets"),
        (lambda it: setattr(it, "ir_version", 99), "IR version 99"),
        (lambda it: it.ClearField("ir_version"), "IR version None"),
        (lambda it: it.ClearField("graph"), "no graph"),
        (lambda it: it.metadata_props.add(key=CONTRACT_KEY, value="1"), "a duplicate metadata key"),
        (
            lambda it: it.metadata_props.add(key="more", value="x" * MAX_METADATA),
            "characters of metadata",
        ),
        (
            lambda it: it.graph.node.extend([node(it, "Add")] * MAX_NODES),
            "1031 nodes, 5 tensors",
        ),
        (
            lambda it: add_node(it, "Relu", "nowhere"),
            "operator Relu with undefined input 'nowhere'",
        ),
        (lambda it: add_node(it, "Relu", ""), "operator Relu with undefined input ''"),
        (lambda it: add_node(it, "Relu"), "operator Relu with 0 inputs"),
        (
            lambda it: node(it, "Gemm").attribute.add(name="alpha", i=1, ints=[1]),
            "operator Gemm whose attribute 'alpha' has a wrong value",
        ),
        (lambda it: add_node(it, "Relu", NOISE, NOISE), "operator Relu with 2 inputs"),
        (
            lambda it: add_node(it, "Gemm", NOISE, "weight", gamma=1.0),
            "operator Gemm with attribute 'gamma'",
        ),
        (lambda it: node(it, "Add").output.append("more"), "2 inputs and 2 outputs"),
        (lambda it: node(it, "Add").ClearField("output"), "2 inputs and 0 outputs"),
        (lambda it: node(it, "Add").output.__setitem__(0, NOISE), f"'{NOISE}' defined twice"),
        (lambda it: node(it, "Add").output.__setitem__(0, ""), "'' without a name"),
        (lambda it: it.graph.initializer.append(tensor(it, "weight")), "'weight' defined twice"),
        (lambda it: it.graph.input.append(it.graph.input[0]), f"'{NOISE}' defined twice"),
        (lambda it: it.graph.output.add(name="nowhere"), "an output whose shape differs"),
        (
            lambda it: setattr(
                it.graph.output[0].type.tensor_type.shape.dim[2], "dim_value", 2**40
            ),
            "an output whose shape differs",
        ),
        (
            lambda it: tensor(it, "weight").dims.__setitem__(0, 7),
            "whose size does not match its shape",
        ),
        (lambda it: tensor(it, "weight").dims.__setitem__(0, -6), "of shape [-6, 108]"),
        (lambda it: tensor(it, "weight").dims.__setitem__(0, 2**62), "tensor elements and"),
        (lambda it: tensor(it, "weight").dims.__setitem__(0, 0), "of shape [0, 108]"),
        (lambda it: tensor(it, "weight").dims.extend([1] * 100_000), "'weight' of shape"),
        (
            lambda it: tensor(it, "weight").ClearField("raw_data"),
            "whose size does not match its shape",
        ),
        (
            lambda it: setattr(tensor(it, "weight"), "data_type", TensorProto.DOUBLE),
            "tensor 'weight' of type 11",
        ),
        (
            lambda it: setattr(tensor(it, "weight"), "data_type", TensorProto.STRING),
            "tensor 'weight' of type 8",
        ),
        (
            lambda it: add_node(it, "Relu", np.arange(7)),
            "int64 tensor 'tensor5' that is not a shape",
        ),
        (lambda it: add_node(it, "Relu", np.arange(4).reshape(2, 2)), "that is not a shape"),
    ],
)
def test_graph_that_cgan_export_does_not_write_is_rejected(
    model: onnx.ModelProto, edit: Edit, reason: str
) -> None:
    message = error_after(model, edit)
    assert "m.onnx contains something that cgan-export does not write (" in message
    assert reason in message


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Add", [zeros(2), zeros(3)], {}),
        ("Cast", [NOISE], {}),
        ("Cast", [NOISE], {"to": TensorProto.STRING}),
        ("Cast", [NOISE], {"to": TensorProto.INT64}),
        ("Conv", [NOISE, zeros(1, 1, 1, 1)], {}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 5, 5)], {"auto_pad": "SAME_UPPER"}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 2, 3, 3)], {}),
        ("Conv", [zeros(1, 2, 4, 4), zeros(1, 1, 3, 3)], {"group": 2}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"group": 0}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"pads": [0, 0, 0, 2**40]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"pads": [-1, 0, 0, 0]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"pads": [1, 1]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"pads": 1}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"strides": [0, 1]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"dilations": [1, -1]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3)], {"kernel_shape": [2, 2]}),
        ("Conv", [zeros(1, 1, 4, 4), zeros(1, 1, 3, 3), zeros(2)], {}),
        ("Conv", [zeros(1, 1, 4, 4, 4), zeros(1, 1, 3, 3, 3)], {}),
        ("DepthToSpace", [zeros(1, 8, 2, 2)], {"blocksize": 3}),
        ("DepthToSpace", [zeros(1, 8, 2, 2)], {"blocksize": 0}),
        ("DepthToSpace", [zeros(1, 8, 2, 2)], {"blocksize": 2, "mode": "DRC"}),
        ("DepthToSpace", [zeros(1, 8, 2, 2)], {}),
        ("Gather", [zeros(2, 2), LABEL], {"axis": 1}),
        ("Gather", [np.float32(1), LABEL], {}),
        ("MatMul", [zeros(2, 3), zeros(2, 3)], {}),
        ("MatMul", [zeros(4, 2, 3), zeros(3, 2)], {}),
        ("Gemm", [zeros(2, 3), zeros(2, 3)], {}),
        ("Gemm", [zeros(2, 3, 1), zeros(3, 2)], {}),
        ("Gemm", [zeros(2, 3), zeros(3, 2), zeros(3)], {}),
        ("Gemm", [zeros(1, 3), zeros(3, 2), zeros(5, 2)], {}),
        ("Mul", [zeros(1, 2), zeros(3, 3)], {}),
        ("Reshape", [zeros(4), NOISE], {}),
        ("Reshape", [zeros(4), np.array([3])], {}),
        ("Reshape", [zeros(4), np.array([2])], {}),
        ("Reshape", [zeros(4), np.array([-1, -1])], {}),
        ("Reshape", [zeros(4), np.array([-2, -2])], {}),
        ("Reshape", [zeros(4), np.array([-1, 3])], {}),
        ("Reshape", [zeros(4), np.array([4, 0])], {}),
        ("Reshape", [zeros(4), np.array([0])], {"allowzero": 1}),
        ("Transpose", [zeros(2, 3)], {"perm": [0, 0]}),
        ("Transpose", [zeros(2, 3)], {"perm": [0, 1, 2]}),
        ("Transpose", [zeros(2, 3)], {}),
    ],
)
def test_operator_inputs_that_do_not_fit_are_rejected(
    model: onnx.ModelProto, operator: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    message = error_after(model, lambda it: add_node(it, operator, *inputs, **attributes))
    assert message.startswith("m.onnx contains something that cgan-export does not write (")
    reasons = "inputs do not fit|without attribute|a wrong value|of type float"
    assert re.search(rf"operator {operator} .*({reasons})|of shape \[", message)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "shape"),
    [
        ("Add", [zeros(3, 1), zeros(4)], {}, (3, 4)),
        ("Cast", [LABEL], {"to": TensorProto.FLOAT}, (MAX_BATCH,)),
        ("Clip", [zeros(2)], {}, (2,)),
        ("Conv", [zeros(2, 4, 9, 8), zeros(6, 2, 3, 5), zeros(6)], {"group": 2}, (2, 6, 7, 4)),
        ("Conv", [zeros(2, 1, 9, 8), zeros(3, 1, 3, 3)], {"pads": [1, 2, 1, 0]}, (2, 3, 9, 8)),
        ("Conv", [zeros(2, 1, 9, 8), zeros(3, 1, 3, 3)], {"strides": [2, 3]}, (2, 3, 4, 2)),
        ("Conv", [zeros(2, 1, 9, 8), zeros(3, 1, 3, 3)], {"dilations": [3, 2]}, (2, 3, 3, 4)),
        ("DepthToSpace", [zeros(2, 12, 3, 5)], {"blocksize": 2}, (2, 3, 6, 10)),
        ("DequantizeLinear", [np.zeros(3, np.uint8), np.float32(1)], {}, (3,)),
        ("Gather", [zeros(10, 3, 4), LABEL], {}, (MAX_BATCH, 3, 4)),
        ("MatMul", [zeros(2, 3), zeros(3, 5)], {}, (2, 5)),
        ("Gemm", [zeros(2, 3), zeros(3, 5), zeros(5)], {}, (2, 5)),
        ("Gemm", [zeros(3, 2), zeros(5, 3)], {"transA": 1, "transB": 1}, (2, 5)),
        ("Mul", [np.float32(1), zeros(2, 1)], {}, (2, 1)),
        ("QuantizeLinear", [zeros(3, 3), np.float32(1), np.uint8(0)], {}, (3, 3)),
        ("Relu", [NOISE], {}, (MAX_BATCH, 6)),
        ("Reshape", [NOISE, np.array([-1, 1, 2, 3])], {}, (MAX_BATCH, 1, 2, 3)),
        ("Reshape", [NOISE, np.array([0, 3, -1])], {}, (MAX_BATCH, 3, 2)),
        ("Sigmoid", [NOISE], {}, (MAX_BATCH, 6)),
        ("Transpose", [zeros(2, 3, 5)], {"perm": [2, 0, 1]}, (5, 2, 3)),
    ],
)
def test_output_shape_of_every_operator_is_inferred(
    model: onnx.ModelProto,
    operator: str,
    inputs: list[Any],
    attributes: dict[str, Any],
    shape: tuple[int, ...],
    shapes_of: Shapes,
) -> None:
    add_node(model, operator, *inputs, **attributes)
    shapes = shapes_of(add_checksum(model.SerializeToString()))
    assert shapes[model.graph.node[-1].output[0]] == shape


def test_no_operator_is_untested() -> None:
    (mark,) = [
        mark
        for mark in test_output_shape_of_every_operator_is_inferred.pytestmark
        if mark.name == "parametrize"
    ]
    assert {case[0] for case in mark.args[1]} == set(OPERATORS)


def reshape_to_the_largest_batch(model: onnx.ModelProto) -> None:
    """Only for a batch of MAX_BATCH images is the first axis of the image the batch."""
    sizes = np.array([MAX_BATCH, 1, 12, 9])
    tensor(model, "sizes").CopyFrom(numpy_helper.from_array(sizes, "sizes"))


def add_rows_of_the_largest_batch(model: onnx.ModelProto) -> None:
    tensor(model, "table").CopyFrom(numpy_helper.from_array(zeros(MAX_BATCH, 108), "table"))
    node(model, "Gather").CopyFrom(helper.make_node("Relu", ["table"], ["row"]))


def swap_batch_and_pixels(model: onnx.ModelProto) -> None:
    """The batch becomes the last axis and the first one again."""
    for name, result in (("pixels", "swapped"), ("swapped", "again")):
        index = [each.output[0] for each in model.graph.node].index(name)
        transpose = helper.make_node("Transpose", [name], [result], perm=[1, 0])
        model.graph.node.insert(index + 1, transpose)
    node(model, "Add").input[0] = "again"


def gather_images(model: onnx.ModelProto) -> None:
    """Image i becomes a copy of the image whose number is the label of image i."""
    node(model, "Add").output[0] = "all"
    index = list(model.graph.node).index(node(model, "Clip"))
    model.graph.node.insert(index, helper.make_node("Gather", ["all", LABEL], ["sum"]))


def multiply_images(model: onnx.ModelProto) -> None:
    add_node(model, "Gemm", zeros(12, 6), "numbers", transB=1)


def declare_a_named_height(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_param = "height"


@pytest.mark.parametrize(
    "edit",
    [
        reshape_to_the_largest_batch,
        add_rows_of_the_largest_batch,
        swap_batch_and_pixels,
        gather_images,
        multiply_images,
        declare_a_named_height,
    ],
)
def test_graph_that_does_not_keep_the_images_of_a_batch_apart_is_rejected(
    model: onnx.ModelProto, edit: Edit
) -> None:
    message = error_after(model, edit)
    assert "whose inputs do not fit" in message or "differs from its declaration" in message


def test_image_of_several_labels_or_half_a_label_is_rejected(model: onnx.ModelProto) -> None:
    """The shapes fit, but there are two images, or half an image, for each label."""
    for height, factor in ((6, 2), (24, 0.5)):
        changed = onnx.ModelProto.FromString(model.SerializeToString())
        sizes = np.array([-1, 1, height, 9])
        tensor(changed, "sizes").CopyFrom(numpy_helper.from_array(sizes, "sizes"))
        changed.graph.output[0].type.tensor_type.shape.dim[2].dim_value = height
        message = error_of(add_checksum(changed.SerializeToString()))
        assert ("an output whose shape" if factor == 2 else "do not fit") in message


@pytest.mark.parametrize("count", [1, 2])
def test_computed_constants_and_copied_indices_count_as_memory(
    model: onnx.ModelProto, count: int
) -> None:
    """2^27 elements fit, but not with the copies that onnxruntime makes while it opens a file."""
    side = 2**13
    add_node(model, "Add", zeros(side, 1), zeros(side))
    for _ in range(count - 1):
        add_node(model, "Relu", model.graph.node[-1].output[0])
    if count == 1:
        validate_model(add_checksum(model.SerializeToString()), "m.onnx")
    else:
        assert "tensor elements" in error_of(add_checksum(model.SerializeToString()))


def test_copied_indices_count_as_memory(model: onnx.ModelProto) -> None:
    """100,000 indices per image, converted twice, are copied once more."""
    add_node(model, "Gemm", NOISE, zeros(6, 60_000))
    add_node(model, "Cast", model.graph.node[-1].output[0], to=TensorProto.INT32)
    indices = model.graph.node[-1].output[0]
    validate_model(add_checksum(model.SerializeToString()), "m.onnx")
    add_node(model, "Gather", zeros(1), indices)
    validate_model(add_checksum(model.SerializeToString()), "m.onnx")
    add_node(model, "Gather", zeros(1), indices)
    assert "tensor elements" in error_of(add_checksum(model.SerializeToString()))


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "reason"),
    [
        ("Gemm", [NOISE, zeros(6, 2).astype(np.uint8)], {}, "an input of type uint8"),
        ("Gather", [zeros(2), NOISE], {}, "an input of type float"),
        ("Add", [NOISE, np.int32(1)], {}, "an input of type int32"),
        ("Gather", [zeros(2), LABEL], {"axis": [0]}, "attribute 'axis' has a wrong value"),
        ("Gather", [zeros(2), LABEL], {"axis": 0.0}, "attribute 'axis' has a wrong value"),
        ("Cast", [NOISE], {}, "without attribute 'to'"),
        ("Clip", [NOISE, zeros(2)], {}, "inputs do not fit"),
        ("QuantizeLinear", [NOISE, zeros(2), np.zeros(2, np.uint8)], {}, "inputs do not fit"),
        ("QuantizeLinear", [NOISE, zeros(6), np.uint8(0)], {}, "inputs do not fit"),
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


def outer_product(model: onnx.ModelProto) -> None:
    """The product of two vectors of 400 kB has 40 GB."""
    add_node(model, "Gemm", zeros(100_000, 1), zeros(1, 100_000))


def broadcast(model: onnx.ModelProto) -> None:
    add_node(model, "Add", zeros(100_000, 1), zeros(100_000))


def many_nodes(model: onnx.ModelProto) -> None:
    """300 nodes with outputs of 1,024 elements per image."""
    add_node(model, "Gemm", NOISE, zeros(6, 2**10))
    for _ in range(300):
        add_node(model, "Add", model.graph.node[-1].output[0], np.float32(1))


def large_layers(model: onnx.ModelProto) -> None:
    """Little memory, but 70 layers with four million multiplications per image."""
    add_node(model, "Gemm", NOISE, zeros(6, 2048))
    weight = zeros(2048, 2048)
    model.graph.initializer.append(numpy_helper.from_array(weight, "square"))
    for _ in range(70):
        add_node(model, "Gemm", model.graph.node[-1].output[0], "square")


def computed_constant(model: onnx.ModelProto) -> None:
    """A matrix product that onnxruntime would compute for seconds while it opens the file."""
    add_node(model, "Gemm", zeros(800, 700), zeros(700, 900))


def wide_convolution(model: onnx.ModelProto) -> None:
    """A kernel of 1 MB at 512 x 512 positions: the copied patches alone have 275 GB."""
    add_node(model, "Conv", zeros(1, 1, 1023, 1023), zeros(1, 1, 512, 512))


@pytest.mark.parametrize(
    "edit",
    [outer_product, broadcast, many_nodes, large_layers, computed_constant, wide_convolution],
)
def test_too_much_memory_or_computation_is_rejected(model: onnx.ModelProto, edit: Edit) -> None:
    message = error_after(model, edit)
    assert "multiplications per batch); export it again" in message


def test_two_graphs_in_one_file_are_rejected(tiny_model: Path) -> None:
    """Other protobuf readers merge them."""
    content = tiny_model.read_bytes()[:-CHECKSUM_BYTES]
    graph = onnx.ModelProto(graph=onnx.ModelProto.FromString(content).graph)
    assert "field 7 occurs twice" in error_of(add_checksum(content + graph.SerializeToString()))


def test_newer_contract_may_contain_anything(model: onnx.ModelProto) -> None:
    for entry in model.metadata_props:
        if entry.key == CONTRACT_KEY:
            entry.value = "2"
    model.functions.add(name="f", domain="d")
    assert error_of(model.SerializeToString()).endswith(
        "upgrade cgan-runtime"
    )  # without a checksum


def test_file_that_is_too_large_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_FILE_BYTES == 134_217_728
    monkeypatch.setattr(generator_module, "MAX_FILE_BYTES", 2**20)
    path = tmp_path / "large.onnx"
    path.write_bytes(bytes(2**20 + 1))
    for each in (path, Path("/dev/zero")):
        with pytest.raises(ModelError) as caught:
            ImageGenerator(each)
        message = f"{each} is larger than the limit of 1,048,576 bytes; check the path"
        assert str(caught.value) == message


def test_model_that_fails_during_a_run_is_reported(model: onnx.ModelProto, tmp_path: Path) -> None:
    """Its table has rows for five classes, but its metadata list ten."""
    table = tensor(model, "table")
    table.dims[0] = 5
    table.raw_data = table.raw_data[: len(table.raw_data) // 2]
    path = tmp_path / "five.onnx"
    path.write_bytes(add_checksum(model.SerializeToString()))
    with ImageGenerator(path, "cpu", threads=1) as generator:
        assert generator.generate(4, seed=0).shape == (1, 1, 12, 9)
        for labels in (5, [5, 6]):
            with pytest.raises(ModelError) as caught:
                generator.generate(labels, seed=0)
            message = str(caught.value)
            assert message.startswith(f"{path} can be opened, but not run (")
            assert "\n" not in message
