"""export_model(): the report, the metadata, and graphs that fail verification."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import cgan_export.export
from cgan_export import ExportError, VerificationError, export_model
from cgan_export.evaluation.quality_gate import GateResult
from cgan_export.int8.onnx_graph import export_to_int8_onnx
from cgan_export.int8.quantization import QuantizedGenerator, quantize
from cgan_export.tracing.networks import RewrittenGenerator
from cgan_export.tracing.trace import export_to_onnx
from cgan_export.verification.tolerances import STATIC_INT8_TOLERANCE
from cgan_export.verification.verify import (
    PixelErrors,
    Tolerance,
    golden_sample,
    verify_against_torch,
)
from cgan_runtime import ImageGenerator, OutputError
from cgan_runtime.model_file.contract import OPSET
from cgan_training.errors import ModelFileError
from cgan_training.model_file import load_model
from cgan_training.networks import parameter_count


def test_the_report_describes_the_file(run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    report = export_model(run_dir / "model.pt", path)
    assert report.path == path
    assert report.size_bytes == path.stat().st_size
    assert report.parameters == parameter_count(load_model(run_dir).generator)
    assert report.opset == OPSET
    assert report.max_pixel_error <= 1
    assert report.images_compared == 10 * (1 + 2 + 33 + 256)
    assert report.nodes == len(onnx.load(path).graph.node)
    assert report.gate_result is None
    assert list(tmp_path.iterdir()) == [path]


def test_two_exports_give_the_same_bytes_and_no_output(
    run_dir: Path, onnx_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export_model(run_dir, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == onnx_file.read_bytes()
    assert capfd.readouterr() == ("", "")


def test_the_metadata_describe_the_trained_model(run_dir: Path, onnx_file: Path) -> None:
    generator = ImageGenerator(onnx_file, "cpu")
    model, info = load_model(run_dir), generator.info
    assert info.golden == golden_sample(generator)
    assert info.class_names == tuple("0123456789")
    assert (info.noise_dim, info.height, info.width) == (10, 28, 28)
    assert (info.dataset, info.precision) == ("optdigits", "fp32")
    assert info.recipe == model.recipe
    assert info.weights_sha256 == model.weights_sha256
    assert info.training["epochs"] == 2
    assert {"torch", "onnx", "cgan-training", "cgan-export", "python"} <= info.versions.keys()


def negate_the_largest_weight(model: onnx.ModelProto) -> None:
    tensor = [each for each in model.graph.initializer if len(each.dims) == 2][-1]
    weights = numpy_helper.to_array(tensor).copy()
    weights.flat[np.abs(weights.astype(float)).argmax()] *= -1
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))


def swap_two_labels(model: onnx.ModelProto) -> None:
    table = next(each for each in model.graph.initializer if each.name in ("table", "label_table"))
    rows = numpy_helper.to_array(table).copy()
    rows[[3, 8]] = rows[[8, 3]]
    table.CopyFrom(numpy_helper.from_array(rows, table.name))


def replace_the_sigmoid(model: onnx.ModelProto) -> None:
    (sigmoid,) = (node for node in model.graph.node if node.op_type == "Sigmoid")
    sigmoid.op_type = "Tanh"


def remove_a_node(model: onnx.ModelProto) -> None:
    del model.graph.node[2]


@pytest.fixture(scope="module")
def quantized(run_dir: Path) -> QuantizedGenerator:
    return quantize(RewrittenGenerator(load_model(run_dir).generator).eval())


@pytest.fixture(scope="module")
def graphs(run_dir: Path, quantized: QuantizedGenerator) -> dict[str, onnx.ModelProto]:
    """Return the valid graph of each precision."""
    network = RewrittenGenerator(load_model(run_dir).generator).eval()
    return {"fp32": export_to_onnx(network), "int8": export_to_int8_onnx(quantized)}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (negate_the_largest_weight, "max pixel error"),
        (swap_two_labels, "max pixel error"),
        (replace_the_sigmoid, "(max|mean) pixel error"),
        (remove_a_node, "onnx rejects the exported graph"),
    ],
)
def test_a_damaged_graph_is_never_written(
    run_dir: Path,
    quantized: QuantizedGenerator,
    graphs: dict[str, onnx.ModelProto],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    damage: Callable[[onnx.ModelProto], None],
    message: str,
) -> None:
    def export_damaged(_network: Any, _opset: int) -> onnx.ModelProto:
        model = copy.deepcopy(graphs[precision])
        damage(model)
        return model

    path = tmp_path / "digits.onnx"
    path.write_bytes(b"an earlier file")
    for name in ("export_to_onnx", "export_to_int8_onnx"):
        monkeypatch.setattr(cgan_export.export, name, export_damaged)
    monkeypatch.setattr(cgan_export.export, "quantize", lambda _module: quantized)
    with pytest.raises(VerificationError, match=message):
        export_model(run_dir, path, precision=precision)
    assert path.read_bytes() == b"an earlier file"
    assert list(tmp_path.iterdir()) == [path]


def test_a_generator_without_exact_int8_is_verified_with_the_tolerance_of_static_int8(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Tolerance] = []

    def fail(_module: object) -> None:
        raise VerificationError("the weights differ too much; export with --precision fp16")

    def verify(
        generator: ImageGenerator, source: Any, tolerance: Tolerance, describe: Any
    ) -> PixelErrors:
        used.append(tolerance)
        return verify_against_torch(generator, source, tolerance, describe)

    monkeypatch.setattr(cgan_export.export, "quantize", fail)
    monkeypatch.setattr(cgan_export.export, "verify_against_torch", verify)
    assert not export_model(run_dir, tmp_path / "digits.onnx", precision="int8").bit_exact
    assert used == [STATIC_INT8_TOLERANCE]


def test_bad_arguments_are_rejected(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        export_model(tmp_path / "none.pt", tmp_path / "digits.onnx")
    with pytest.raises(OutputError):
        export_model(run_dir, tmp_path / "none" / "digits.onnx")
    with pytest.raises(ExportError, match="precision 'int4'; choose from fp32, fp16, int8"):
        export_model(run_dir, tmp_path / "digits.onnx", precision="int4")
    with pytest.raises(ExportError, match="opset 18 is not supported; choose 19 to 21"):
        export_model(run_dir, tmp_path / "digits.onnx", opset=18)
    assert not list(tmp_path.iterdir())


def test_the_verification_results_are_in_the_metadata(
    run_dir: Path, onnx_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "digits.onnx"
    report = export_model(run_dir, path, gate=lambda *_: GateResult(0.9, -0.0003, 10_000, True))
    assert ImageGenerator(path).info.verification == {
        "max_pixel_error": report.max_pixel_error,
        "mean_pixel_error": round(report.mean_pixel_error, 4),
        "images": report.images_compared,
        "quality_gate": "passed",
        "label_accuracy_change": -0.0003,
        "label_accuracy_images": 10_000,
    }
    assert ImageGenerator(onnx_file).info.verification["quality_gate"] == "not run"


def test_a_failed_gate_leaves_no_file(run_dir: Path, tmp_path: Path) -> None:
    def fail(*_: object) -> GateResult:
        raise VerificationError("worse")

    with pytest.raises(VerificationError, match="worse"):
        export_model(run_dir, tmp_path / "digits.onnx", gate=fail)
    assert not list(tmp_path.iterdir())
