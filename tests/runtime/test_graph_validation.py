"""What onnxruntime never gets to see. Each model here is sealed: somebody made it so on purpose."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cgan_runtime.errors import ModelError
from cgan_runtime.generator import LARGEST_BATCH, SHIPPED_MODEL, ImageGenerator
from cgan_runtime.model_file.checksum import CHECKSUM_BYTES, add_checksum
from cgan_runtime.model_file.contract import CONTRACT_KEY, IMAGE, LABEL, NOISE
from cgan_runtime.model_file.graph_validation import (
    FULL_BATCH,
    MOST_BYTES,
    MOST_METADATA,
    MOST_NODES,
    MOST_NUMBERS,
    OPERATORS,
    screen,
)

Edit = Callable[[onnx.ModelProto], object]
Shapes = Callable[[bytes], dict[str, tuple[int, ...]]]


@pytest.fixture
def model(tiny_model: Path) -> onnx.ModelProto:
    """The tiny model without its seal."""
    model = onnx.ModelProto()
    model.ParseFromString(tiny_model.read_bytes()[:-CHECKSUM_BYTES])
    return model


def refusal(content: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        screen(content, "m.onnx")
    message = str(caught.value)
    assert message.startswith("m.onnx ")
    assert "; " in message
    assert "\n" not in message
    assert len(message) < 400
    return message


def refused_when(model: onnx.ModelProto, edit: Edit) -> str:
    edit(model)
    return refusal(add_checksum(model.SerializeToString()))


def node(model: onnx.ModelProto, operator: str) -> Any:
    (found,) = [each for each in model.graph.node if each.op_type == operator]
    return found


def tensor(model: onnx.ModelProto, name: str) -> Any:
    (found,) = [each for each in model.graph.initializer if each.name == name]
    return found


def put(model: onnx.ModelProto, operator: str, *inputs: Any, **attributes: Any) -> None:
    """Add a node whose inputs are names, or arrays that become initializers."""
    names = []
    for value in inputs:
        name = value if isinstance(value, str) else f"put{len(model.graph.initializer)}"
        if not isinstance(value, str):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        names.append(name)
    made = f"made{len(model.graph.node)}"
    model.graph.node.append(helper.make_node(operator, names, [made], **attributes))


def zeros(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def test_what_ships_and_what_tests_draw_with_pass(tiny_model: Path) -> None:
    for path in (tiny_model, SHIPPED_MODEL):
        screen(path.read_bytes(), str(path))


def test_shapes_are_those_that_onnx_infers(tiny_model: Path, shapes_of: Shapes) -> None:
    for path in (tiny_model, SHIPPED_MODEL):
        shapes_of(path.read_bytes())


def test_a_generator_draws_no_more_at_once_than_the_bounds_are_for() -> None:
    assert LARGEST_BATCH <= FULL_BATCH


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
def test_an_operator_that_no_generator_has(
    model: onnx.ModelProto, operator: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    message = refused_when(model, lambda it: put(it, operator, *inputs, **attributes))
    assert f"(operator '{operator}' of ''); export it again" in message


@pytest.mark.parametrize("domain", ["ai.onnx", "com.microsoft", "ai.onnx.ml"])
def test_an_operator_of_another_domain(model: onnx.ModelProto, domain: str) -> None:
    message = refused_when(model, lambda it: put(it, "Gemm", NOISE, NOISE, domain=domain))
    assert f"operator 'Gemm' of '{domain}'" in message


def loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    put(model, "Loop", np.array(2**62), np.array(True), body=body)


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
        (lambda it: it.metadata_props.add(key=CONTRACT_KEY, value="1"), "a metadata key twice"),
        (
            lambda it: it.metadata_props.add(key="more", value="x" * MOST_METADATA),
            "characters of metadata",
        ),
        (
            lambda it: it.graph.node.extend([node(it, "Add")] * MOST_NODES),
            "1031 nodes, 5 tensors",
        ),
        (lambda it: put(it, "Relu", "nowhere"), "a Relu of 'nowhere', which is not there"),
        (lambda it: put(it, "Relu", ""), "a Relu of '', which is not there"),
        (lambda it: put(it, "Relu"), "a Relu of 0 inputs"),
        (lambda it: put(it, "Relu", NOISE, NOISE), "a Relu of 2 inputs"),
        (lambda it: put(it, "Gemm", NOISE, "weight", gamma=1.0), "attributes ['gamma']"),
        (lambda it: node(it, "Add").output.append("more"), "2 inputs and 2 outputs"),
        (lambda it: node(it, "Add").ClearField("output"), "2 inputs and 0 outputs"),
        (lambda it: node(it, "Add").output.__setitem__(0, NOISE), f"'{NOISE}' twice"),
        (lambda it: node(it, "Add").output.__setitem__(0, ""), "'' twice"),
        (lambda it: it.graph.initializer.append(tensor(it, "weight")), "'weight' twice"),
        (lambda it: it.graph.input.append(it.graph.input[0]), f"'{NOISE}' twice"),
        (lambda it: it.graph.output.add(name="nowhere"), "an output of another shape"),
        (
            lambda it: setattr(
                it.graph.output[0].type.tensor_type.shape.dim[2], "dim_value", 2**40
            ),
            "an output of another shape",
        ),
        (lambda it: tensor(it, "weight").dims.__setitem__(0, 7), "another size than its shape"),
        (lambda it: tensor(it, "weight").dims.__setitem__(0, -6), "of shape [-6, 108]"),
        (lambda it: tensor(it, "weight").dims.__setitem__(0, 2**62), "numbers and"),
        (lambda it: tensor(it, "weight").dims.__setitem__(0, 0), "of shape [0, 108]"),
        (lambda it: tensor(it, "weight").dims.extend([1] * 100_000), "'weight' of shape"),
        (lambda it: tensor(it, "weight").ClearField("raw_data"), "another size than its shape"),
        (
            lambda it: setattr(tensor(it, "weight"), "data_type", TensorProto.DOUBLE),
            "another size than its shape",
        ),
        (
            lambda it: setattr(tensor(it, "weight"), "data_type", TensorProto.STRING),
            "another size than its shape",
        ),
        (lambda it: put(it, "Relu", np.arange(7)), "int64 tensor 'put5' that is no shape"),
        (lambda it: put(it, "Relu", np.arange(4).reshape(2, 2)), "that is no shape"),
    ],
)
def test_what_no_generator_holds(model: onnx.ModelProto, edit: Edit, reason: str) -> None:
    message = refused_when(model, edit)
    assert "m.onnx holds what cgan-export never writes (" in message
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
def test_inputs_that_do_not_fit(
    model: onnx.ModelProto, operator: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    message = refused_when(model, lambda it: put(it, operator, *inputs, **attributes))
    assert message.startswith("m.onnx holds what cgan-export never writes (")
    assert f"a {operator} whose inputs do not fit" in message or "of shape [" in message


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "shape"),
    [
        ("Add", [zeros(3, 1), zeros(4)], {}, (3, 4)),
        ("Cast", [LABEL], {"to": TensorProto.FLOAT}, (FULL_BATCH,)),
        ("Clip", [zeros(2)], {}, (2,)),
        ("Conv", [zeros(2, 4, 9, 8), zeros(6, 2, 3, 5), zeros(6)], {"group": 2}, (2, 6, 7, 4)),
        ("Conv", [zeros(2, 1, 9, 8), zeros(3, 1, 3, 3)], {"pads": [1, 2, 1, 0]}, (2, 3, 9, 8)),
        ("Conv", [zeros(2, 1, 9, 8), zeros(3, 1, 3, 3)], {"strides": [2, 3]}, (2, 3, 4, 2)),
        ("Conv", [zeros(2, 1, 9, 8), zeros(3, 1, 3, 3)], {"dilations": [3, 2]}, (2, 3, 3, 4)),
        ("DepthToSpace", [zeros(2, 12, 3, 5)], {"blocksize": 2}, (2, 3, 6, 10)),
        ("DequantizeLinear", [np.zeros(3, np.uint8), np.float32(1)], {}, (3,)),
        ("Gather", [zeros(10, 3, 4), LABEL], {}, (FULL_BATCH, 3, 4)),
        ("MatMul", [zeros(2, 3), zeros(3, 5)], {}, (2, 5)),
        ("Gemm", [zeros(2, 3), zeros(3, 5), zeros(5)], {}, (2, 5)),
        ("Gemm", [zeros(3, 2), zeros(5, 3)], {"transA": 1, "transB": 1}, (2, 5)),
        ("Mul", [np.float32(1), zeros(2, 1)], {}, (2, 1)),
        ("QuantizeLinear", [zeros(3, 3), np.float32(1), np.uint8(0)], {}, (3, 3)),
        ("Relu", [NOISE], {}, (FULL_BATCH, 6)),
        ("Reshape", [NOISE, np.array([-1, 1, 2, 3])], {}, (FULL_BATCH, 1, 2, 3)),
        ("Reshape", [NOISE, np.array([0, 3, -1])], {}, (FULL_BATCH, 3, 2)),
        ("Sigmoid", [NOISE], {}, (FULL_BATCH, 6)),
        ("Transpose", [zeros(2, 3, 5)], {"perm": [2, 0, 1]}, (5, 2, 3)),
    ],
)
def test_every_operator_makes_what_onnx_says(
    model: onnx.ModelProto,
    operator: str,
    inputs: list[Any],
    attributes: dict[str, Any],
    shape: tuple[int, ...],
    shapes_of: Shapes,
) -> None:
    put(model, operator, *inputs, **attributes)
    shapes = shapes_of(add_checksum(model.SerializeToString()))
    assert shapes[model.graph.node[-1].output[0]] == shape


def test_every_operator_is_tested() -> None:
    (mark,) = [
        mark
        for mark in test_every_operator_makes_what_onnx_says.pytestmark
        if mark.name == "parametrize"
    ]
    assert {case[0] for case in mark.args[1]} == set(OPERATORS)


def outer_product(model: onnx.ModelProto) -> None:
    """Two vectors of 400 kB make 40 GB."""
    put(model, "Gemm", zeros(100_000, 1), zeros(1, 100_000))


def broadcast(model: onnx.ModelProto) -> None:
    put(model, "Add", zeros(100_000, 1), zeros(100_000))


def doubled(model: onnx.ModelProto) -> None:
    """Each node makes as much again: 2**15 numbers an image after 300 of them."""
    put(model, "Gemm", NOISE, zeros(6, 2**10))
    for _ in range(300):
        put(model, "Add", model.graph.node[-1].output[0], np.float32(1))


def long_products(model: onnx.ModelProto) -> None:
    """Little memory, but 300 times four million multiplications an image."""
    put(model, "Gemm", NOISE, zeros(6, 2048))
    weight = zeros(2048, 2048)
    model.graph.initializer.append(numpy_helper.from_array(weight, "square"))
    for _ in range(70):
        put(model, "Gemm", model.graph.node[-1].output[0], "square")


def wide_convolution(model: onnx.ModelProto) -> None:
    """A kernel of a megabyte over an image of 512 x 512: the patches alone are 262 GB."""
    put(model, "Conv", zeros(1, 1, 1023, 1023), zeros(1, 1, 512, 512))


@pytest.mark.parametrize(
    "edit", [outer_product, broadcast, doubled, long_products, wide_convolution]
)
def test_a_bomb_of_allowed_operators(model: onnx.ModelProto, edit: Edit) -> None:
    message = refused_when(model, edit)
    assert "multiplications a batch); export it again" in message


def test_two_graphs_in_one_file(tiny_model: Path) -> None:
    """Which readers of protobuf add up, and this one must not pass over."""
    content = tiny_model.read_bytes()[:-CHECKSUM_BYTES]
    graph = onnx.ModelProto(graph=onnx.ModelProto.FromString(content).graph)
    assert "field 7 twice" in refusal(add_checksum(content + graph.SerializeToString()))


def test_a_newer_contract_may_be_anything_else(model: onnx.ModelProto) -> None:
    for entry in model.metadata_props:
        if entry.key == CONTRACT_KEY:
            entry.value = "2"
    model.functions.add(name="f", domain="d")
    assert refusal(model.SerializeToString()).endswith("upgrade cgan-runtime")  # without a seal


def test_a_file_without_an_end(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="/dev/zero is larger than any model may be"):
        ImageGenerator("/dev/zero")
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)  # a hole, which takes no room on the disk
    with pytest.raises(ModelError, match=r"large\.onnx is larger than any model may be \(134,217"):
        ImageGenerator(path)


def test_a_model_that_fails_when_it_draws(model: onnx.ModelProto, tmp_path: Path) -> None:
    """Its table has a row for five classes, its metadata promise ten."""
    table = tensor(model, "table")
    table.dims[0] = 5
    table.raw_data = table.raw_data[: len(table.raw_data) // 2]
    path = tmp_path / "five.onnx"
    path.write_bytes(add_checksum(model.SerializeToString()))
    with ImageGenerator(path, "cpu", threads=1) as generator:
        assert generator.generate(4, seed=0).shape == (1, 1, 12, 9)
        with pytest.raises(ModelError) as caught:
            generator.generate(5, seed=0)
    message = str(caught.value)
    assert message.startswith(f"{path} opens, but cannot be drawn with (")
    assert "\n" not in message


def test_the_bounds_leave_room_for_what_is_drawn_here(shapes_of: Shapes) -> None:
    shapes = shapes_of(SHIPPED_MODEL.read_bytes())
    assert IMAGE in shapes
    assert sum(map(math.prod, shapes.values())) < MOST_NUMBERS / 10
