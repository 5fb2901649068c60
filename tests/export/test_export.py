import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import cgan_export.export
from cgan_export import VerificationError, export_model
from cgan_export.graph import ContractGenerator, to_onnx
from cgan_export.verify import draw_with_torch
from cgan_runtime import DigitGenerator, OutputError
from cgan_runtime.contract import OLDEST_ONNXRUNTIME, OPSET
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
    assert report.images_compared == 10 * (1 + 2 + 33)
    assert list(tmp_path.iterdir()) == [path]


def test_exporting_twice_gives_the_same_file(
    run_dir: Path, onnx_file: Path, tmp_path: Path
) -> None:
    export_model(run_dir, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == onnx_file.read_bytes()


def test_the_runtime_reads_back_what_training_knew(run_dir: Path, onnx_file: Path) -> None:
    model, info = load_model(run_dir), DigitGenerator(onnx_file).info
    assert info.class_names == tuple("0123456789")
    assert (info.noise_dim, info.height, info.width) == (10, 28, 28)
    assert (info.dataset, info.precision) == ("optdigits", "fp32")
    assert info.recipe == model.recipe
    assert info.weights_sha256 == model.weights_sha256
    assert info.training["epochs"] == 2
    assert {"torch", "onnx", "cgan-training", "cgan-export", "python"} <= info.versions.keys()


def test_the_golden_sample_is_what_torch_drew(run_dir: Path, onnx_file: Path) -> None:
    generator = DigitGenerator(onnx_file)
    golden = generator.info.golden
    labels = list(golden.labels)
    assert labels == list(range(10))
    promised = np.frombuffer(golden.images, np.uint8).reshape(10, 1, 28, 28)
    with_torch = draw_with_torch(load_model(run_dir), labels, golden.seed, 0)
    drawn = generator.generate(labels, seed=golden.seed)
    np.testing.assert_array_equal(promised, with_torch)
    np.testing.assert_allclose(drawn.astype(int), promised, atol=1)


def flip_a_weight(model: onnx.ModelProto) -> None:
    tensor = next(each for each in model.graph.initializer if len(each.dims) == 2)
    weights = numpy_helper.to_array(tensor).copy()
    weights.flat[np.abs(weights).argmax()] *= -8
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))


def swap_two_labels(model: onnx.ModelProto) -> None:
    (gather,) = (node for node in model.graph.node if node.op_type == "Gather")
    (table,) = (each for each in model.graph.initializer if each.name == gather.input[0])
    rows = numpy_helper.to_array(table).copy()
    rows[[3, 8]] = rows[[8, 3]]
    table.CopyFrom(numpy_helper.from_array(rows, table.name))


def break_the_head(model: onnx.ModelProto) -> None:
    (tanh,) = (node for node in model.graph.node if node.op_type == "Tanh")
    tanh.op_type = "Sigmoid"


def lose_a_node(model: onnx.ModelProto) -> None:
    del model.graph.node[2]


@pytest.mark.parametrize("sabotage", [flip_a_weight, swap_two_labels, break_the_head, lose_a_node])
def test_a_file_that_draws_otherwise_never_exists(
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[onnx.ModelProto], None],
) -> None:
    def sabotaged(module: ContractGenerator) -> onnx.ModelProto:
        model = to_onnx(module)
        sabotage(model)
        return model

    path = tmp_path / "digits.onnx"
    path.write_bytes(b"the one before")
    monkeypatch.setattr(cgan_export.export, "to_onnx", sabotaged)
    with pytest.raises(VerificationError):
        export_model(run_dir, path)
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_or_written_is_refused(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        export_model(tmp_path / "none.pt", tmp_path / "digits.onnx")
    with pytest.raises(OutputError):
        export_model(run_dir, tmp_path / "none" / "digits.onnx")
    assert not list(tmp_path.iterdir())


def test_the_oldest_runtime_draws_the_same(
    onnx_file: Path, tmp_path: Path, runtime_environment: Callable[[str], Path]
) -> None:
    scripts = runtime_environment(f"{OLDEST_ONNXRUNTIME}.0")
    arguments: list[Any] = [
        "--model",
        onnx_file,
        "--digits",
        "0123456789",
        "--count",
        "4",
        "--seed",
        "5",
    ]
    subprocess.run([scripts / "cgan-run", *arguments, "--output", tmp_path / "a.npy"], check=True)
    old = np.load(tmp_path / "a.npy").astype(int)
    new = DigitGenerator(onnx_file).generate([*range(10)] * 4, seed=5)
    np.testing.assert_allclose(old, new, atol=1)
    version = subprocess.run(
        [scripts / "python", "-c", "import onnxruntime; print(onnxruntime.__version__)"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert version.stdout.startswith(OLDEST_ONNXRUNTIME)


def test_the_hash_is_of_the_trained_weights(run_dir: Path) -> None:
    model = load_model(run_dir)
    digest = hashlib.sha256()
    for name, tensor in model.generator.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    assert model.weights_sha256 == digest.hexdigest()
