"""Graphs of the generators of cgan-train."""

from collections import Counter
from pathlib import Path

import onnx
import pytest
import torch

from cgan_export.errors import ExportError
from cgan_export.tracing.networks import RewrittenGenerator
from cgan_export.tracing.trace import export_to_onnx
from cgan_runtime.model_file.contract import (
    IR_VERSION,
    MAX_OPSET,
    OPSET,
)
from cgan_training.model_file import load_model
from cgan_training.networks import Generator, to_uint8


@pytest.fixture(scope="module")
def generator(run_dir: Path) -> Generator:
    return load_model(run_dir).generator


@pytest.fixture(scope="module")
def model(generator: Generator) -> onnx.ModelProto:
    return export_to_onnx(RewrittenGenerator(generator))


def test_an_old_onnxscript_is_reported(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(*_arguments: object, **_options: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript._framework_apis.torch_9'")

    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(ExportError, match=r"onnxscript is too old for torch .*torch_9.*upgrade"):
        export_to_onnx(RewrittenGenerator(generator))


def test_the_opset_and_ir_version_are_those_of_the_contract(
    model: onnx.ModelProto, generator: Generator
) -> None:
    assert model.ir_version == IR_VERSION
    assert not model.functions
    newer = export_to_onnx(RewrittenGenerator(generator), opset=MAX_OPSET)
    for each, opset in ((model, OPSET), (newer, MAX_OPSET)):
        assert [(entry.domain, entry.version) for entry in each.opset_import] == [("", opset)]


def test_a_perceptron_becomes_one_lookup_and_its_layers(model: onnx.ModelProto) -> None:
    layers = ["Gemm", "Relu"] * 2 + ["Gemm"]
    head = ["Reshape", "Sigmoid", "QuantizeLinear"]
    assert [node.op_type for node in model.graph.node] == ["Gather", *layers, *head]


def test_the_label_table_changes_no_image(generator: Generator) -> None:
    noise, label = torch.randn(200, 10), torch.arange(200) % 10
    images = (RewrittenGenerator(generator)(noise, label) * 255).round()
    expected = to_uint8(generator(noise, label))
    assert (images.int() - expected.int()).abs().max() <= 1


def test_the_file_contains_no_information_about_the_machine(model: onnx.ModelProto) -> None:
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        assert not part.metadata_props
        assert not part.doc_string
    content = model.SerializeToString()
    for word in (str(Path.cwd()), str(Path(torch.__file__).parent), "site-packages", "pkg.torch"):
        assert word.encode() not in content


def test_a_convolutional_generator_becomes_convolutions_and_a_pixel_shuffle(
    convolutional_generator: Generator,
) -> None:
    graph = export_to_onnx(RewrittenGenerator(convolutional_generator)).graph
    operators = Counter(node.op_type for node in graph.node)
    assert operators["Conv"] == 3
    assert operators["Relu"] == 4
    assert operators["DepthToSpace"] == 1
    assert operators["Reshape"] == 1  # of the linear layer's output, to feature maps
    assert not operators.keys() & {"BatchNormalization", "OneHot", "Concat", "Identity"}
