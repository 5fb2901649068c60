from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from cgan_export import export_model
from cgan_export.errors import VerificationError
from cgan_export.weights import with_half_weights, with_int8_weights
from cgan_runtime import DigitGenerator


@pytest.fixture(scope="module")
def half_file(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    report = export_model(run_dir, path, precision="fp16")
    assert report.largest_difference <= 1
    return path


def test_the_file_shrinks_by_half_and_draws_the_same(half_file: Path, onnx_file: Path) -> None:
    weights = 4 * 39_000
    saved = onnx_file.stat().st_size - half_file.stat().st_size
    assert saved == pytest.approx(weights / 2, rel=0.05)
    with DigitGenerator(half_file) as half, DigitGenerator(onnx_file) as full:
        assert half.info.precision == "fp16"
        labels = list(range(10)) * 20
        one, other = (each.generate(labels, seed=3).astype(int) for each in (half, full))
    assert np.abs(one - other).max() <= 1


def test_the_runtime_folds_the_casts_when_it_opens_the_file(
    half_file: Path, tmp_path: Path
) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(half_file, options, providers=["CPUExecutionProvider"])
    opened = onnx.load(tmp_path / "optimised.onnx")
    floats = [each for each in opened.graph.initializer if each.data_type == 10]
    assert not floats  # TensorProto.FLOAT16
    casts = [node for node in opened.graph.node if node.op_type == "Cast"]
    assert len(casts) == 1  # the image's, to uint8


def test_a_weight_beyond_half_precision_is_refused(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 2:
            weights = onnx.numpy_helper.to_array(tensor) * np.float32(1e7)
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))
    with pytest.raises(VerificationError, match="holds weights that float16 cannot"):
        with_half_weights(model)


@pytest.fixture(scope="module")
def int8_file(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "int8.onnx"
    export_model(run_dir, path, precision="int8-weights")
    return path


def test_eight_bits_a_weight(int8_file: Path, onnx_file: Path) -> None:
    stored = onnx.load(int8_file).graph.initializer
    kinds = {
        tensor.data_type for tensor in stored if len(tensor.dims) == 2 and min(tensor.dims) > 1
    }
    assert kinds == {onnx.TensorProto.INT8, onnx.TensorProto.FLOAT16}  # the label table
    weights = 3 * 38_000
    saved = onnx_file.stat().st_size - int8_file.stat().st_size
    assert saved == pytest.approx(weights, rel=0.1)
    with DigitGenerator(int8_file) as small, DigitGenerator(onnx_file) as full:
        labels = list(range(10)) * 20
        one, other = (each.generate(labels, seed=3).astype(int) for each in (small, full))
    assert 0 < np.abs(one - other).max() <= 8
    assert np.abs(one - other).mean() < 0.5


def test_each_output_has_the_scale_of_its_own_weights(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    small = {each.name: each for each in with_int8_weights(model).graph.initializer}
    outputs: list[int] = []
    for tensor in model.graph.initializer:
        if f"{tensor.name}_int8" not in small:
            continue
        weights = onnx.numpy_helper.to_array(tensor)
        stored, scale = (
            onnx.numpy_helper.to_array(small[f"{tensor.name}_{part}"]) for part in ("int8", "scale")
        )
        assert stored.min() >= -127
        error = np.abs(stored * scale - weights)
        assert (error <= scale / 2 * 1.001).all()
        outputs.append(scale.size)
    assert sorted(outputs) == [32, 48, 784]


def test_the_runtime_folds_what_widens_int8(int8_file: Path, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(int8_file, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "optimised.onnx").graph
    assert {each.data_type for each in graph.initializer if np.prod(each.dims) > 48} == {
        onnx.TensorProto.FLOAT
    }
