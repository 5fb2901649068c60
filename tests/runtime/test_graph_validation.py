"""Graphs that are rejected before onnxruntime opens them. All have a valid checksum."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from model_graphs import (
    Edit,
    add_node,
    error_after,
    error_of,
    infer_and_compare_shapes,
    load_graph,
    node,
    tensor,
    zeros,
)
from onnx import TensorProto, helper

from cgan_runtime.errors import ModelError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file import reading
from cgan_runtime.model_file.checksum import CHECKSUM_BYTES, add_checksum
from cgan_runtime.model_file.contract import CONTRACT_KEY, IMAGE, NOISE
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_runtime.model_file.validation.graph_validation import declared_specs
from cgan_runtime.model_file.validation.rules import (
    MAX_ELEMENTS,
    MAX_FILE_BYTES,
    MAX_METADATA,
    MAX_NODES,
)


@pytest.fixture
def model(tiny_model: Path) -> onnx.ModelProto:
    return load_graph(tiny_model)


def test_onnx_infers_equal_shapes(tiny_model: Path) -> None:
    for path in (tiny_model, SHIPPED_MODEL):
        shapes = infer_and_compare_shapes(path.read_bytes())
        assert IMAGE in shapes
        assert sum(map(math.prod, shapes.values())) < MAX_ELEMENTS / 10


def test_onnxruntime_reports_the_declared_tensors(tiny_model: Path) -> None:
    session = onnxruntime.InferenceSession(tiny_model, providers=["CPUExecutionProvider"])
    reported = session.get_inputs(), session.get_outputs()
    for specs, nodes in zip(declared_specs(tiny_model.read_bytes()), reported, strict=True):
        assert [(*each[:2], each.shape) for each in specs] == [
            (each.name, each.type, each.shape) for each in nodes
        ]


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("MatMulInteger", [zeros(2, 2), zeros(2, 2)], {}),
        ("RandomNormal", [], {"shape": [2**20, 2**20]}),
        ("TopK", [NOISE, np.array([1])], {}),
        ("NoSuch", [NOISE], {}),
        ("relu", [NOISE], {}),
    ],
)
def test_operator_that_is_not_allowed_is_rejected(
    model: onnx.ModelProto, operator: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    message = error_after(model, lambda it: add_node(it, operator, *inputs, **attributes))
    advice = "change the network as docs/contract.md describes, and export it again"
    assert message.endswith(f"(operator '{operator}' is not supported); {advice}")


@pytest.mark.parametrize("domain", ["ai.onnx", "com.microsoft", "ai.onnx.ml"])
def test_operator_of_another_domain_is_rejected(model: onnx.ModelProto, domain: str) -> None:
    message = error_after(model, lambda it: add_node(it, "Gemm", NOISE, NOISE, domain=domain))
    assert f"operator 'Gemm' of domain '{domain}' is not supported" in message


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
            "4103 nodes, 5 tensors",
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
            lambda it: setattr(tensor(it, "weight"), "data_type", TensorProto.BFLOAT16),
            "tensor 'weight' of type 16",
        ),
        (
            lambda it: setattr(tensor(it, "weight"), "data_type", TensorProto.STRING),
            "tensor 'weight' of type 8",
        ),
    ],
)
def test_graph_that_cgan_export_does_not_write_is_rejected(
    model: onnx.ModelProto, edit: Edit, reason: str
) -> None:
    message = error_after(model, edit)
    assert "m.onnx contains something that cgan-export does not write (" in message
    assert reason in message


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
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", 2**20)
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
