import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from cgan_export import export_model
from cgan_export.errors import VerificationError
from cgan_export.graph import ContractGenerator, to_onnx
from cgan_export.rounding import round_to_int8
from cgan_export.weights import with_half_weights, with_int8_weights
from cgan_runtime import DigitGenerator
from cgan_training.averaging import estimate_batch_norm
from cgan_training.model_file import load_model
from cgan_training.networks import ConvolutionalGenerator, Generator


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


def test_rounded_weights_are_whole_steps_and_their_outputs_change_least(run_dir: Path) -> None:
    module = ContractGenerator(load_model(run_dir).generator).eval()
    nearest, rounded = copy.deepcopy(module), copy.deepcopy(module)
    for layer in nearest.rest.children():
        if isinstance(layer, nn.Linear):
            scale = layer.weight.detach().abs().amax(1, keepdim=True) / 127
            layer.weight.data = (layer.weight / scale).round() * scale
    scales = round_to_int8(rounded)
    weights = dict(rounded.named_parameters())
    assert [len(scale) for scale in scales.values()] == [48, 784]
    for name, scale in scales.items():
        steps = weights[name].detach() / scale
        torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
        assert steps.abs().max() <= 127.001
    noise, label = torch.randn(2000, 10), torch.arange(2000) % 10
    with torch.no_grad():
        exact, near, best = (
            each.rest(each.hidden(noise, label)) for each in (module, nearest, rounded)
        )
    assert (best - exact).square().mean() < 0.8 * (near - exact).square().mean()


def test_convolutions_are_rounded_too() -> None:
    torch.manual_seed(0)
    generator = Generator(ConvolutionalGenerator(hidden=12, channels=5), 6, 4, 8, 12)
    estimate_batch_norm(generator, seed=1)
    module = ContractGenerator(generator).eval()
    exact = copy.deepcopy(module)
    scales = round_to_int8(module)
    assert [tuple(scale.shape) for scale in scales.values()] == [
        (30, 1),
        (5, 1, 1, 1),
        (5, 1, 1, 1),
        (16, 1, 1, 1),
    ]
    stored = with_int8_weights(to_onnx(module), scales).graph.initializer
    assert sum(tensor.data_type == onnx.TensorProto.INT8 for tensor in stored) == 4
    noise, label = torch.randn(50, 6), torch.arange(50) % 4
    with torch.no_grad():
        difference = (module(noise, label).int() - exact(noise, label).int()).abs()
    assert 0 < difference.float().mean() < 1


def test_the_runtime_folds_what_widens_int8(int8_file: Path, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(int8_file, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "optimised.onnx").graph
    assert {each.data_type for each in graph.initializer if np.prod(each.dims) > 48} == {
        onnx.TensorProto.FLOAT
    }
