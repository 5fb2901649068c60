"""Limits of memory and computation, and the largest batch that follows from them."""

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
    validate,
    zeros,
)
from onnx import TensorProto, numpy_helper

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.contract import LABEL, MAX_BATCH, NOISE


@pytest.fixture
def model(tiny_model: Path) -> onnx.ModelProto:
    return load_graph(tiny_model)


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
        validate(model)
    else:
        assert "tensor elements" in error_of(content_of(model))


def test_copied_indices_count_as_memory(model: onnx.ModelProto) -> None:
    """60,000 indices per image, converted once, are copied by each Gather."""
    add_node(model, "Gemm", NOISE, zeros(6, 60_000))
    indices = add_node(model, "Cast", model.graph.node[-1].output[0], to=TensorProto.INT32)
    for largest in (MAX_BATCH, MAX_BATCH // 2):
        add_node(model, "Gather", zeros(1), indices)
        assert validate(model).max_batch == largest
        indices = add_node(model, "Identity", indices)


def outer_product(model: onnx.ModelProto) -> None:
    """The product of two vectors of 400 kB has 40 GB."""
    add_node(model, "Gemm", zeros(100_000, 1), zeros(1, 100_000))


def broadcast(model: onnx.ModelProto) -> None:
    add_node(model, "Add", zeros(100_000, 1), zeros(100_000))


def computed_constant(model: onnx.ModelProto) -> None:
    """A matrix product that onnxruntime would compute for seconds while it opens the file."""
    add_node(model, "Gemm", zeros(800, 700), zeros(700, 900))


def wide_convolution(model: onnx.ModelProto) -> None:
    """A kernel of 1 MB at 512 x 512 positions: the copied patches alone have 275 GB."""
    add_node(model, "Conv", zeros(1, 1, 1023, 1023), zeros(1, 1, 512, 512))


@pytest.mark.parametrize(
    "edit",
    [outer_product, broadcast, computed_constant, wide_convolution],
)
def test_too_much_memory_or_computation_is_rejected(model: onnx.ModelProto, edit: Edit) -> None:
    message = error_after(model, edit)
    assert "multiplications for one image); export it again" in message


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Tile", [zeros(1), np.array([2**40])], {}),
        ("Expand", [NOISE, np.array([2**25, 1, 6])], {}),
        ("ConstantOfShape", [np.array([2**40])], {}),
        ("Range", [np.int64(0), np.int64(2**40), np.int64(1)], {}),
        ("Pad", [zeros(1), np.array([2**30, 0])], {}),
        ("OneHot", [LABEL, np.int64(2**40), zeros(2)], {}),
        ("Resize", [zeros(1, 1), "", np.array([2**19, 2**19], np.float32)], {}),
        ("Resize", [zeros(1, 1), "", "", np.array([2**20, 2**20])], {"mode": "linear"}),
        ("Einsum", [zeros(2**10), zeros(2**10), zeros(2**10)], {"equation": "i,j,k->ijk"}),
        ("MatMul", [zeros(2**15, 1), zeros(1, 2**15)], {}),
    ],
)
def test_small_file_with_large_tensors_is_rejected(
    model: onnx.ModelProto, operator: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    message = error_after(model, lambda it: add_node(it, operator, *inputs, **attributes))
    assert "too large: " in message


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


def test_small_generator_runs_in_the_largest_batch(model: onnx.ModelProto) -> None:
    assert validate(model).max_batch == MAX_BATCH


@pytest.mark.parametrize("edit", [many_nodes, large_layers])
def test_larger_generator_runs_in_smaller_batches(model: onnx.ModelProto, edit: Edit) -> None:
    edit(model)
    assert validate(model).max_batch == MAX_BATCH // 2


def test_images_do_not_depend_on_the_batch_size(
    model: onnx.ModelProto, tmp_path: Path, tiny_model: Path
) -> None:
    path = tmp_path / "large.onnx"
    add_node(model, "Expand", NOISE, np.array([2**17, 1, 6]))
    assert validate(model).max_batch == 256
    path.write_bytes(content_of(model))
    labels = np.arange(600) % 10
    with ImageGenerator(path, "cpu") as limited, ImageGenerator(tiny_model, "cpu") as generator:
        expected = generator.generate(labels, seed=3)
        np.testing.assert_array_equal(limited.generate(labels, seed=3), expected)
        (batch,) = limited.stream(labels, seed=3, count=1, batch_size=600)
        np.testing.assert_array_equal(batch.images, expected)
