"""Files with float16 weights."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from cgan_export.errors import VerificationError
from cgan_export.passes.fp16 import store_weights_as_fp16
from cgan_runtime import ImageGenerator


@pytest.fixture(scope="module")
def fp16_file(exported: dict[tuple[str, str], Path]) -> Path:
    return exported["perceptron", "fp16"]


def test_fp16_halves_the_weights(fp16_file: Path, onnx_file: Path) -> None:
    weights = 4 * 39_000  # bytes of the layers after the first in float32
    saved = onnx_file.stat().st_size - fp16_file.stat().st_size
    assert saved == pytest.approx(weights / 2, rel=0.05)


def test_fp16_changes_a_pixel_by_at_most_1(fp16_file: Path, onnx_file: Path) -> None:
    with ImageGenerator(fp16_file) as half, ImageGenerator(onnx_file) as full:
        assert half.info.precision == "fp16"
        labels = list(range(10)) * 20
        images, expected = (each.generate(labels, seed=3).astype(int) for each in (half, full))
    assert np.abs(images - expected).max() <= 1


def test_onnxruntime_folds_the_casts(fp16_file: Path, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(fp16_file, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "optimized.onnx").graph
    assert onnx.TensorProto.FLOAT16 not in {each.data_type for each in graph.initializer}
    assert "Cast" not in {node.op_type for node in graph.node}


def test_a_weight_beyond_the_range_of_float16_is_rejected(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 2:  # not the biases
            weights = onnx.numpy_helper.to_array(tensor) * np.float32(1e7)
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))
    with pytest.raises(VerificationError, match="exceed the range of float16"):
        store_weights_as_fp16(model)
