import hashlib
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
from cgan_export.int8.onnx_graph import to_int8_onnx
from cgan_export.tracing.trace import to_onnx
from cgan_export.verification import generate_with_torch
from cgan_runtime import ImageGenerator, ModelError, OutputError
from cgan_runtime.model_file.contract import OPSET
from cgan_training.errors import ModelFileError
from cgan_training.model_file import load_model
from cgan_training.networks import parameter_count


def test_the_report_says_what_was_made(run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    report = export_model(run_dir / "model.pt", path)
    assert report.path == path
    assert report.size_bytes == path.stat().st_size
    assert report.parameters == parameter_count(load_model(run_dir).generator)
    assert report.opset == OPSET
    assert report.largest_difference <= 1
    assert report.images_compared == 10 * (1 + 2 + 33 + 256)
    assert report.nodes == len(onnx.load(path).graph.node)
    assert report.judgement is None
    assert list(tmp_path.iterdir()) == [path]


def test_exporting_twice_gives_the_same_file(
    run_dir: Path, onnx_file: Path, tmp_path: Path
) -> None:
    export_model(run_dir, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == onnx_file.read_bytes()


def test_the_runtime_reads_back_what_training_knew(run_dir: Path, onnx_file: Path) -> None:
    model, info = load_model(run_dir), ImageGenerator(onnx_file).info
    assert info.class_names == tuple("0123456789")
    assert (info.noise_dim, info.height, info.width) == (10, 28, 28)
    assert (info.dataset, info.precision) == ("optdigits", "fp32")
    assert info.recipe == model.recipe
    assert info.weights_sha256 == model.weights_sha256
    assert info.training["epochs"] == 2
    assert {"torch", "onnx", "cgan-training", "cgan-export", "python"} <= info.versions.keys()


def test_the_golden_sample_is_what_torch_drew(run_dir: Path, onnx_file: Path) -> None:
    generator = ImageGenerator(onnx_file)
    golden = generator.info.golden
    labels = list(golden.labels)
    assert labels == list(range(10))
    promised = np.frombuffer(golden.images, np.uint8).reshape(10, 1, 28, 28)
    with_torch = generate_with_torch(load_model(run_dir), labels, golden.seed, 0)
    drawn = generator.generate(labels, seed=golden.seed)
    np.testing.assert_array_equal(promised, with_torch)
    np.testing.assert_allclose(drawn.astype(int), promised, atol=1)


def flip_a_weight(model: onnx.ModelProto) -> None:
    """The largest of the last layer changes its sign."""
    tensor = [each for each in model.graph.initializer if len(each.dims) == 2][-1]
    weights = numpy_helper.to_array(tensor).copy()
    weights.flat[np.abs(weights.astype(float)).argmax()] *= -1
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))


def swap_two_labels(model: onnx.ModelProto) -> None:
    table = next(each for each in model.graph.initializer if each.name in ("table", "label_table"))
    rows = numpy_helper.to_array(table).copy()
    rows[[3, 8]] = rows[[8, 3]]
    table.CopyFrom(numpy_helper.from_array(rows, table.name))


def break_the_head(model: onnx.ModelProto) -> None:
    (sigmoid,) = (node for node in model.graph.node if node.op_type == "Sigmoid")
    sigmoid.op_type = "Tanh"


def lose_a_node(model: onnx.ModelProto) -> None:
    del model.graph.node[2]


def shift_a_byte(model: onnx.ModelProto) -> None:
    """The first weight of the label's table, as if a bit had flipped."""
    table = next(each for each in model.graph.initializer if each.name in ("table", "label_table"))
    rows = numpy_helper.to_array(table).copy()
    rows.flat[0] = 8 * abs(rows).max()
    table.CopyFrom(numpy_helper.from_array(rows, table.name))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    "sabotage", [flip_a_weight, swap_two_labels, break_the_head, lose_a_node, shift_a_byte]
)
def test_a_file_that_draws_otherwise_never_exists(
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    sabotage: Callable[[onnx.ModelProto], None],
) -> None:
    make: Any = {"fp32": to_onnx, "int8": to_int8_onnx}[precision]

    def sabotaged(module: Any, opset: int) -> onnx.ModelProto:
        model: onnx.ModelProto = make(module, opset)
        sabotage(model)
        return model

    path = tmp_path / "digits.onnx"
    path.write_bytes(b"the one before")
    monkeypatch.setattr(cgan_export.export, make.__name__, sabotaged)
    with pytest.raises((VerificationError, ModelError)):
        export_model(run_dir, path, precision=precision)
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_or_written_is_refused(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        export_model(tmp_path / "none.pt", tmp_path / "digits.onnx")
    with pytest.raises(OutputError):
        export_model(run_dir, tmp_path / "none" / "digits.onnx")
    with pytest.raises(ExportError, match="no precision 'int4'; choose fp32, fp16, int8"):
        export_model(run_dir, tmp_path / "digits.onnx", precision="int4")
    with pytest.raises(ExportError, match="opset is 18; choose 19 to 21"):
        export_model(run_dir, tmp_path / "digits.onnx", opset=18)
    assert not list(tmp_path.iterdir())


def test_what_was_proven_is_in_the_file(run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    report = export_model(run_dir, path, gate=lambda *_: GateResult(0.9, -0.0003))
    proven = ImageGenerator(path).info.verification
    assert proven == {
        "largest_difference": report.largest_difference,
        "mean_difference": round(report.mean_difference, 4),
        "images": report.images_compared,
        "quality_gate": "passed",
        "label_accuracy_change": -0.0003,
    }
    export_model(run_dir, path)
    assert ImageGenerator(path).info.verification["quality_gate"] == "not asked for"


def test_a_gate_that_stays_shut_leaves_nothing(run_dir: Path, tmp_path: Path) -> None:
    def shut(*_: object) -> GateResult:
        raise VerificationError("worse")

    with pytest.raises(VerificationError, match="worse"):
        export_model(run_dir, tmp_path / "digits.onnx", gate=shut)
    assert not list(tmp_path.iterdir())


def test_the_hash_is_of_the_trained_weights(run_dir: Path) -> None:
    model = load_model(run_dir)
    digest = hashlib.sha256()
    for name, tensor in model.generator.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    assert model.weights_sha256 == digest.hexdigest()
