"""Integers: as good as eight bits can be, and the same everywhere by construction."""

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import Tensor, nn

from cgan_export import VerificationError
from cgan_export.int8.grid import INK_SCALE, LOGIT_SCALE, LOGIT_ZERO
from cgan_export.int8.onnx_graph import to_int8_onnx
from cgan_export.int8.quantization import QuantizedGenerator, quantize
from cgan_export.int8.rounding import matrix, rounded_weight
from cgan_export.int8.sensitivity import noise_and_labels
from cgan_export.tracing.trace import ContractGenerator, to_onnx
from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import load_model
from cgan_training.networks import Generator
from cgan_training.networks.perceptron import PerceptronGenerator

Exported = dict[tuple[str, str], Path]
BOTH = pytest.mark.parametrize("kind", ["perceptron", "convolutional"])


@pytest.fixture(scope="module")
def modules(run_dir: Path, convolutional_generator: Generator) -> dict[str, ContractGenerator]:
    return {
        "perceptron": ContractGenerator(load_model(run_dir).generator).eval(),
        "convolutional": ContractGenerator(convolutional_generator).eval(),
    }


@pytest.fixture(scope="module")
def quantized(modules: dict[str, ContractGenerator]) -> dict[str, QuantizedGenerator]:
    return {kind: quantize(module) for kind, module in modules.items()}


@BOTH
def test_it_draws_what_float32_draws(exported: Exported, kind: str) -> None:
    small, full = (ImageGenerator(exported[kind, each]) for each in ("int8", "fp32"))
    assert small.info.precision == "int8"
    labels = [index % small.info.classes for index in range(2000)]
    one, other = (each.generate(labels, seed=3).astype(int) for each in (small, full))
    assert other.std() > 10  # there is something to see
    assert np.abs(one - other).max() <= 24
    assert 0 < np.abs(one - other).mean() < 2


def test_a_weight_is_a_byte(exported: Exported) -> None:
    stored = onnx.load(exported["perceptron", "int8"]).graph.initializer
    large = {each.name: each.data_type for each in stored if np.prod(each.dims) >= 1000}
    assert set(large.values()) == {onnx.TensorProto.INT8}
    first = {
        each.name: each.data_type for each in stored if len(each.dims) == 2 and each.dims[0] == 10
    }
    assert set(first.values()) == {onnx.TensorProto.FLOAT16}


@BOTH
def test_onnxruntime_multiplies_integers(exported: Exported, tmp_path: Path, kind: str) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "opened.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(
        exported[kind, "int8"], options, providers=["CPUExecutionProvider"]
    )
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "opened.onnx").graph.node)
    assert (operators["QLinearMatMul"], operators["QLinearConv"]) == {
        "perceptron": (2, 0),
        "convolutional": (1, 3),
    }[kind]
    assert operators["QLinearSigmoid"] == 1  # a table of 256 bytes
    assert operators["Gemm"] == 1  # the first layer
    floats = {"Conv", "DequantizeLinear", "MatMul", "Relu", "Cast", "Sigmoid"}
    assert not operators.keys() & (floats | {"QGemm"})


@BOTH
def test_the_batch_changes_nothing(exported: Exported, kind: str) -> None:
    with ImageGenerator(exported[kind, "int8"]) as generator:
        classes = generator.info.classes

        @given(start=st.integers(0, 2**40), count=st.integers(1, 70), at=st.integers(0, 69))
        @settings(deadline=None, max_examples=40)
        def holds(start: int, count: int, at: int) -> None:
            labels = [(start + index) % classes for index in range(count)]
            together = generator.generate(labels, seed=8, start=start)
            index = at % count
            alone = generator.generate(labels[index : index + 1], seed=8, start=start + index)
            np.testing.assert_array_equal(alone[0], together[index])

        holds()


@BOTH
def test_no_processor_can_saturate(quantized: dict[str, QuantizedGenerator], kind: str) -> None:
    """x86 without VNNI adds 255 * a + 255 * b of neighbours in 16 bits."""
    for layer in quantized[kind].layers.values():
        weight = matrix(layer.weight).int()
        assert weight.abs().max() <= 127
        even = weight[:, : weight.shape[1] // 2 * 2].unflatten(1, (-1, 2))
        assert 255 * even.clamp(min=0).sum(2).max() < 2**15
        assert 255 * even.clamp(max=0).sum(2).min() >= -(2**15)


@pytest.mark.parametrize("hidden", [(8, 6), (7, 5), (8, 5), (7, 6)])
def test_constants_make_the_bias(hidden: tuple[int, int]) -> None:
    """Whatever the widths and the bias, the file draws what its integers come to."""
    torch.manual_seed(1)
    generator = Generator(PerceptronGenerator(hidden), 10, 3, 4, 5)
    with torch.no_grad():
        for layer in generator.layers:
            if isinstance(layer, nn.Linear):
                layer.bias.uniform_(-9, 9)  # several times 255 * 127 steps
    small = quantize(ContractGenerator(generator).eval())
    assert max(int(layer.bias.abs().max()) for layer in small.layers.values()) > 2 * 255 * 127
    graph = to_int8_onnx(small)
    noise, label = standard_normal(2, 0, 300, 10), np.arange(300) % 3
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (drawn,) = session.run(None, {"noise": noise, "label": label})
    promised = small.draw(torch.from_numpy(noise), torch.from_numpy(label)).numpy()
    assert drawn.std() > 10
    np.testing.assert_allclose(drawn.astype(int), promised, atol=4)
    assert np.mean(drawn != promised) < 0.01
    # No two neighbours of a product saturate 16 bits; the constants are 255, 1, 255, 0, ...
    stored = {each.name: numpy_helper.to_array(each) for each in graph.graph.initializer}
    widths = [layer.weight.shape[1] for layer in small.layers.values()]
    for number, width in enumerate(widths, 1):
        weight = stored[f"layer{number}_weight"].astype(int)  # [inputs, outputs]
        assert len(weight) % 2 == 0
        most = np.full(len(weight), 255)
        most[width:] = 0
        most[width + width % 2 :: 2] = 255
        most[width + width % 2 + 1] = 1
        for sign in (1, -1):
            pairs = (most[:, None] * np.clip(sign * weight, 0, None)).reshape(
                len(weight) // 2, 2, -1
            )
            assert pairs.sum(1).max() < 2**15


@BOTH
def test_the_first_layer_sums_without_rounding(
    modules: dict[str, ContractGenerator], quantized: dict[str, QuantizedGenerator], kind: str
) -> None:
    first = quantized[kind].first
    noise = torch.from_numpy(standard_normal(5, 0, 500, len(first.noise_weight)))
    noise[0], noise[1] = 127 / 32, -127 / 32  # as far as the noise goes
    label = torch.arange(500) % len(first.label_table)
    exact = noise.double() @ first.noise_weight.double() + first.label_table.double()[label]
    for order in (slice(None), torch.randperm(noise.shape[1])):
        found = first.label_table[label].clone()
        for number in torch.arange(noise.shape[1])[order].tolist():
            found += noise[:, number, None] * first.noise_weight[number]
        assert torch.equal(found.double(), exact)
    # The control: as it was trained, it does round.
    plain = modules[kind]
    rounded = noise @ plain.noise_weight + plain.label_table[label]
    wide = noise.double() @ plain.noise_weight.double() + plain.label_table.double()[label]
    assert not torch.equal(rounded.double(), wide)


def test_no_sigmoid_of_a_byte_is_near_a_tie() -> None:
    logits = (np.arange(256) - LOGIT_ZERO) * LOGIT_SCALE
    grey = 1 / (1 + np.exp(-logits)) / INK_SCALE
    assert np.abs(grey % 1 - 0.5).min() > 1e-3
    assert (round(grey[0]), round(grey[-1])) == (0, 255)


def test_errors_are_made_up_for(modules: dict[str, ContractGenerator]) -> None:
    """Rounding each weight to the nearest step, whatever the others became, costs more."""
    module = modules["perceptron"]
    layer = module.rest[1]
    assert isinstance(layer, nn.Linear)
    weight = layer.weight.detach().double()
    step = weight.abs().amax(1) / 7  # four bits: the effect, writ large

    def nearest(weights: Tensor, *_: object) -> Tensor:
        return (weights / step).round() * step

    inputs = module.hidden(*noise_and_labels(module, 16_384)).relu().detach()
    plain = torch.stack([nearest(column) for column in weight.unbind(1)], dim=1)
    errors = [
        ((rounded - weight) @ inputs.double().T).square().mean()
        for rounded in (rounded_weight(layer, inputs, nearest), plain)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_quantizing_leaves_the_module_as_it_was(modules: dict[str, ContractGenerator]) -> None:
    module = modules["convolutional"]
    before = copy.deepcopy(module.state_dict())
    quantize(module)
    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())


def test_the_same_generator_gives_the_same_bytes(modules: dict[str, ContractGenerator]) -> None:
    one, other = (to_int8_onnx(quantize(modules["perceptron"])) for _ in range(2))
    assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Identity, "int8 needs a ReLU before each layer"),
        (nn.LeakyReLU, "int8 needs a ReLU before each layer"),
        (nn.Sigmoid, "int8 needs a ReLU before each layer"),
    ],
)
def test_what_has_no_form_in_integers_is_refused(
    modules: dict[str, ContractGenerator], other: type[nn.Module], message: str
) -> None:
    module = copy.deepcopy(modules["perceptron"])
    layers = [other() if isinstance(layer, nn.ReLU) else layer for layer in module.rest]
    module.rest = nn.Sequential(*layers)
    with pytest.raises(VerificationError, match=message):
        to_int8_onnx(quantize(module))


@pytest.mark.parametrize("value", [3e38, float("inf"), float("nan")])
def test_a_first_layer_without_steps_is_refused(
    modules: dict[str, ContractGenerator], value: float
) -> None:
    module = copy.deepcopy(modules["perceptron"])
    module.label_table.data[0, 0] = value
    with pytest.raises(VerificationError, match="int8 finds no steps for a"):
        quantize(module)


def test_a_dead_layer_does_no_harm(modules: dict[str, ContractGenerator]) -> None:
    """All its weights are zero, and so is what comes out of it."""
    module = copy.deepcopy(modules["perceptron"])
    for parameter in module.rest[1].parameters():
        parameter.data.zero_()
    feeds = {"noise": standard_normal(0, 0, 3, 10), "label": np.arange(3)}
    drawn = [
        onnxruntime.InferenceSession(made.SerializeToString()).run(None, feeds)[0]
        for made in (to_int8_onnx(quantize(module)), to_onnx(module))
    ]
    np.testing.assert_allclose(drawn[0].astype(int), drawn[1], atol=2)


def test_scales_are_what_the_file_can_hold(quantized: dict[str, QuantizedGenerator]) -> None:
    for each in quantized.values():
        for layer in each.layers.values():
            assert torch.equal(layer.weight_scale, layer.weight_scale.half().float())
            assert layer.weight_scale.min() > 0
