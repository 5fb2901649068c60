from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from cgan_export import export_model
from cgan_export.errors import VerificationError
from cgan_export.passes.fp16 import store_weights_as_fp16
from cgan_runtime import ImageGenerator


@pytest.fixture(scope="module")
def half_file(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    report = export_model(run_dir, path, precision="fp16")
    assert report.largest_difference <= 1
    return path


def test_the_file_shrinks_by_half_and_draws_the_same(half_file: Path, onnx_file: Path) -> None:
    weights = 4 * 39_000  # of the layers after the first
    saved = onnx_file.stat().st_size - half_file.stat().st_size
    assert saved == pytest.approx(weights / 2, rel=0.05)
    with ImageGenerator(half_file) as half, ImageGenerator(onnx_file) as full:
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
    assert not casts


def test_a_weight_beyond_half_precision_is_refused(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 2:  # the first layer's stay float32
            weights = onnx.numpy_helper.to_array(tensor) * np.float32(1e7)
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))
    with pytest.raises(VerificationError, match="holds weights that float16 cannot"):
        store_weights_as_fp16(model)
