from collections import Counter
from pathlib import Path

import onnx
import pytest
import torch

from cgan_export.errors import ExportError
from cgan_export.tracing.trace import ContractGenerator, to_onnx
from cgan_runtime.model_file.contract import (
    BATCH,
    IMAGE,
    IR_VERSION,
    LABEL,
    NEWEST_OPSET,
    NOISE,
    OPSET,
)
from cgan_training.engine.batch_norm import calibrate_batch_norm
from cgan_training.model_file import load_model
from cgan_training.networks import ConvolutionalGenerator, Generator, to_uint8


@pytest.fixture(scope="module")
def generator(run_dir: Path) -> Generator:
    return load_model(run_dir).generator


@pytest.fixture(scope="module")
def model(generator: Generator) -> onnx.ModelProto:
    return to_onnx(ContractGenerator(generator))


def shapes(values: "list[onnx.ValueInfoProto]") -> dict[str, tuple[int, list[str | int]]]:
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim],
        )
        for value in values
    }


def test_an_onnxscript_that_is_too_old_is_told(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(*_arguments: object, **_options: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript._framework_apis.torch_9'")

    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(ExportError, match=r"onnxscript is too old for torch .*torch_9.*upgrade"):
        to_onnx(ContractGenerator(generator))


def test_inputs_and_output_are_the_contracts(model: onnx.ModelProto) -> None:
    assert shapes(list(model.graph.input)) == {
        NOISE: (onnx.TensorProto.FLOAT, [BATCH, 10]),
        LABEL: (onnx.TensorProto.INT64, [BATCH]),
    }
    assert shapes(list(model.graph.output)) == {IMAGE: (onnx.TensorProto.UINT8, [BATCH, 1, 28, 28])}


def test_opset_and_ir_are_old_enough_for_old_runtimes(model: onnx.ModelProto) -> None:
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION
    assert not model.functions


def test_the_label_enters_by_one_lookup(model: onnx.ModelProto) -> None:
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["Gather"] == 1
    others = {"OneHot", "Concat", "Equal", "Cast", "Add", "MatMul", "Identity", "Scatter"}
    assert not operators.keys() & others


def test_no_node_is_needless(model: onnx.ModelProto) -> None:
    layers = ["Gemm", "Relu"] * 2 + ["Gemm"]
    head = ["Reshape", "Sigmoid", "QuantizeLinear"]
    assert [node.op_type for node in model.graph.node] == ["Gather", *layers, *head]


def test_a_newer_opset(generator: Generator) -> None:
    model = to_onnx(ContractGenerator(generator), opset=NEWEST_OPSET)
    assert [entry.version for entry in model.opset_import] == [NEWEST_OPSET]


def test_folding_the_label_changes_nothing(generator: Generator) -> None:
    noise, label = torch.randn(200, 10), torch.arange(200) % 10
    folded = (ContractGenerator(generator)(noise, label) * 255).round()
    plain = to_uint8(generator(noise, label))
    assert (folded.int() - plain.int()).abs().max() <= 1


def test_the_file_holds_nothing_of_the_machine(model: onnx.ModelProto) -> None:
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        assert not part.metadata_props
        assert not part.doc_string
    content = model.SerializeToString()
    for word in (str(Path.cwd()), str(Path(torch.__file__).parent), "site-packages", "pkg.torch"):
        assert word.encode() not in content


def test_all_weights_are_inside(model: onnx.ModelProto, generator: Generator) -> None:
    assert all(
        tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer
    )
    weights = sum(parameter.numel() for parameter in generator.parameters())
    # The first bias moved into each of the table's ten rows.
    floats = sum(
        len(onnx.numpy_helper.to_array(tensor).ravel())
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 0
    )
    assert floats == weights - 32


def test_the_same_generator_gives_the_same_bytes(
    model: onnx.ModelProto, generator: Generator
) -> None:
    again = to_onnx(ContractGenerator(generator))
    assert again.SerializeToString(deterministic=True) == model.SerializeToString(
        deterministic=True
    )


def test_the_exporter_is_silent(generator: Generator, capfd: pytest.CaptureFixture[str]) -> None:
    to_onnx(ContractGenerator(generator))
    assert capfd.readouterr() == ("", "")


def test_a_convolutional_generator_becomes_products_convolutions_and_a_shuffle() -> None:
    torch.manual_seed(0)
    generator = Generator(ConvolutionalGenerator(hidden=12, channels=5), 6, 4, 8, 12)
    calibrate_batch_norm(generator, seed=1)
    operators = Counter(node.op_type for node in to_onnx(ContractGenerator(generator)).graph.node)
    assert operators["Conv"] == 3
    assert operators["Relu"] == 4
    assert operators["DepthToSpace"] == 1
    assert operators["Reshape"] == 1  # of the product's outputs, to maps
    assert not operators.keys() & {"BatchNormalization", "OneHot", "Concat", "Identity"}
