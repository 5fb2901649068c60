"""int8 files are accurate, and give the same images on every processor."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from untrained_generators import untrained_generator

from cgan_export import VerificationError
from cgan_export.int8.onnx_graph import export_to_int8_onnx
from cgan_export.int8.quantization import QuantizedGenerator, noise_and_labels, quantize
from cgan_export.int8.rounding import round_weights, weight_matrix
from cgan_export.int8.scales import IMAGE_SCALE, LOGIT_SCALE, LOGIT_ZERO
from cgan_export.tracing.networks import RewrittenGenerator
from cgan_export.tracing.trace import export_to_onnx
from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import load_model
from cgan_training.networks import Generator, build_generator
from cgan_training.recipe import ConvolutionalGeneratorSettings, PerceptronGeneratorSettings

Exported = dict[tuple[str, str], Path]
KINDS = pytest.mark.parametrize("kind", ["perceptron", "convolutional"])


@pytest.fixture(scope="module")
def modules(run_dir: Path, convolutional_generator: Generator) -> dict[str, RewrittenGenerator]:
    return {
        "perceptron": RewrittenGenerator(load_model(run_dir).generator).eval(),
        "convolutional": RewrittenGenerator(convolutional_generator).eval(),
    }


@pytest.fixture(scope="module")
def quantized(modules: dict[str, RewrittenGenerator]) -> dict[str, QuantizedGenerator]:
    return {kind: quantize(module) for kind, module in modules.items()}


def tiny_module(hidden: tuple[int, int] = (8, 6)) -> RewrittenGenerator:
    """A perceptron with 10 noise numbers, 3 classes and images of 4 x 5 pixels."""
    torch.manual_seed(1)
    return RewrittenGenerator(
        build_generator(PerceptronGeneratorSettings(hidden), 10, 3, (1, 4, 5))
    ).eval()


@KINDS
def test_images_are_close_to_those_of_float32(exported: Exported, kind: str) -> None:
    int8, fp32 = (ImageGenerator(exported[kind, each]) for each in ("int8", "fp32"))
    assert int8.info.precision == "int8"
    labels = [index % int8.info.classes for index in range(2000)]
    images, expected = (each.generate(labels, seed=3).astype(int) for each in (int8, fp32))
    assert expected.std() > 10
    assert np.abs(images - expected).max() <= 28
    assert 0 < np.abs(images - expected).mean() < 2


@KINDS
def test_onnxruntime_fuses_the_integer_operators(
    exported: Exported, tmp_path: Path, kind: str
) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(
        exported[kind, "int8"], options, providers=["CPUExecutionProvider"]
    )
    graph = onnx.load(tmp_path / "optimized.onnx").graph
    operators = Counter(node.op_type for node in graph.node)
    assert (operators["QLinearMatMul"], operators["QLinearConv"]) == {
        "perceptron": (2, 0),
        "convolutional": (1, 3),
    }[kind]
    assert operators["QLinearSigmoid"] == 1  # a table of 256 bytes
    assert operators["Gemm"] == 1  # the first layer
    floats = {"Conv", "DequantizeLinear", "MatMul", "Relu", "Cast", "Sigmoid"}
    assert not operators.keys() & (floats | {"QGemm"})
    stored = onnx.load(exported[kind, "int8"]).graph.initializer
    assert {each.data_type for each in stored if np.prod(each.dims) >= 1000} <= {
        onnx.TensorProto.INT8
    }


@pytest.mark.parametrize(
    ("finer_channels", "shape"),
    [((4,), (3, 8, 12)), ((5, 3), (1, 13, 10)), ((), (3, 9, 8))],
    ids=str,
)
def test_doubled_and_cropped_grids_are_computed_in_integers(
    finer_channels: tuple[int, ...], shape: tuple[int, int, int]
) -> None:
    settings = ConvolutionalGeneratorSettings(12, 5, convolutions=1, finer_channels=finer_channels)
    module = RewrittenGenerator(untrained_generator(settings, 6, 4, shape)).eval()
    integers = quantize(module)
    session = onnxruntime.InferenceSession(
        export_to_int8_onnx(integers).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    noise, label = noise_and_labels(module, 50)
    (images,) = session.run(None, {"noise": noise.numpy(), "label": label.numpy()})
    assert images.shape == (50, *shape)
    np.testing.assert_array_equal(images, integers.generate(noise, label).numpy())
    assert np.abs(images - module(noise, label).mul(255).detach().numpy()).mean() < 2


def test_an_image_does_not_depend_on_its_batch(exported: Exported) -> None:
    with ImageGenerator(exported["convolutional", "int8"]) as generator:
        for start, count in ((0, 2), (5, 3), (2**40, 17), (77, 70)):
            labels = [(start + index) % generator.info.classes for index in range(count)]
            batch = generator.generate(labels, seed=8, start=start)
            for index in range(count):
                alone = generator.generate(labels[index : index + 1], seed=8, start=start + index)
                np.testing.assert_array_equal(alone[0], batch[index])


@KINDS
def test_sums_of_two_products_fit_into_16_bits(
    quantized: dict[str, QuantizedGenerator], kind: str
) -> None:
    """x86 without VNNI adds 255 * a + 255 * b of adjacent weights in 16 bits, and saturates."""
    for layer in quantized[kind].layers.values():
        assert torch.equal(layer.weight_scale, layer.weight_scale.half().float())
        assert layer.weight_scale.min() > 0
        weight = weight_matrix(layer.weight).int()
        assert weight.abs().max() <= 127
        pairs = weight[:, : weight.shape[1] // 2 * 2].unflatten(1, (-1, 2))
        assert 255 * pairs.clamp(min=0).sum(2).max() < 2**15
        assert 255 * pairs.clamp(max=0).sum(2).min() >= -(2**15)


@pytest.mark.parametrize("hidden", [(8, 6), (7, 5), (8, 5), (7, 6)])
def test_constant_inputs_form_the_bias(hidden: tuple[int, int]) -> None:
    """For odd and even widths and large biases, the file matches its integer arithmetic."""
    module = tiny_module(hidden)
    for layer in module.rest:
        if isinstance(layer, nn.Linear):
            layer.bias.data.uniform_(-9, 9)  # needs several constant inputs
    quantized = quantize(module)
    assert max(int(each.bias.abs().max()) for each in quantized.layers.values()) > 2 * 255 * 127
    model = export_to_int8_onnx(quantized)
    noise, label = standard_normal(2, 0, 300, 10), np.arange(300) % 3
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (images,) = session.run(None, {"noise": noise, "label": label})
    expected = quantized.generate(torch.from_numpy(noise), torch.from_numpy(label)).numpy()
    assert images.std() > 10
    np.testing.assert_allclose(images.astype(int), expected, atol=4)
    assert np.mean(images != expected) < 0.01
    # Sums of two products fit into 16 bits. The constants are 255, 1, 255, 0, 255, 0, ...
    stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    widths = [layer.weight.shape[1] for layer in quantized.layers.values()]
    for number, width in enumerate(widths, 1):
        weight = stored[f"layer{number}_weight"].astype(int)  # [inputs, outputs]
        assert len(weight) % 2 == 0
        max_inputs = np.full(len(weight), 255)
        max_inputs[width:] = 0
        max_inputs[width + width % 2 :: 2] = 255
        max_inputs[width + width % 2 + 1] = 1
        for sign in (1, -1):
            products = max_inputs[:, None] * np.clip(sign * weight, 0, None)
            assert products.reshape(len(weight) // 2, 2, -1).sum(1).max() < 2**15


@KINDS
def test_the_sums_of_the_first_layer_are_exact(
    modules: dict[str, RewrittenGenerator], quantized: dict[str, QuantizedGenerator], kind: str
) -> None:
    first = quantized[kind].module
    noise = torch.from_numpy(standard_normal(5, 0, 500, len(first.noise_weight)))
    noise[0], noise[1] = 127 / 32, -127 / 32  # the extremes of the noise
    label = torch.arange(500) % len(first.label_table)
    exact = noise.double() @ first.noise_weight.double() + first.label_table.double()[label]
    for order in (slice(None), torch.randperm(noise.shape[1])):
        sums = first.label_table[label].clone()
        for number in torch.arange(noise.shape[1])[order].tolist():
            sums += noise[:, number, None] * first.noise_weight[number]
        assert torch.equal(sums.double(), exact)
    # The sums of the trained weights are not exact.
    trained = modules[kind]
    rounded = noise @ trained.noise_weight + trained.label_table[label]
    wide = noise.double() @ trained.noise_weight.double() + trained.label_table.double()[label]
    assert not torch.equal(rounded.double(), wide)


def test_no_pixel_value_is_close_to_a_tie() -> None:
    logits = (np.arange(256) - LOGIT_ZERO) * LOGIT_SCALE
    pixels = 1 / (1 + np.exp(-logits)) / IMAGE_SCALE
    assert np.abs(pixels % 1 - 0.5).min() > 1e-3
    assert (round(pixels[0]), round(pixels[-1])) == (0, 255)


def test_rounding_compensates_for_errors(modules: dict[str, RewrittenGenerator]) -> None:
    module = modules["perceptron"]
    layer = module.rest[1]
    assert isinstance(layer, nn.Linear)
    weight = layer.weight.detach().double()
    step = weight.abs().amax(1) / 7  # four bits, so that the effect is large

    def nearest(weights: Tensor, *_: object) -> Tensor:
        return (weights / step).round() * step

    inputs = module.hidden(*noise_and_labels(module, 16_384)).relu().detach()
    plain = torch.stack([nearest(column) for column in weight.unbind(1)], dim=1)
    errors = [
        ((rounded - weight) @ inputs.double().T).square().mean()
        for rounded in (round_weights(layer, inputs, nearest), plain)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_quantization_is_reproducible_and_leaves_the_module_unchanged(
    exported: Exported,
    convolutional_generator: Generator,
    modules: dict[str, RewrittenGenerator],
    quantized: dict[str, QuantizedGenerator],
) -> None:
    model = onnx.load(exported["convolutional", "int8"])
    del model.metadata_props[:]
    again = export_to_int8_onnx(quantized["convolutional"])
    assert again.SerializeToString(deterministic=True) == model.SerializeToString(
        deterministic=True
    )
    before = RewrittenGenerator(convolutional_generator).state_dict()
    now = modules["convolutional"].state_dict()
    assert all(torch.equal(before[name], now[name]) for name in before)


@pytest.mark.parametrize("other", [nn.Identity, nn.LeakyReLU, nn.Sigmoid])
def test_an_activation_other_than_relu_is_rejected(other: type[nn.Module]) -> None:
    module = tiny_module()
    layers = [other() if isinstance(layer, nn.ReLU) else layer for layer in module.rest]
    module.rest = nn.Sequential(*layers)
    with pytest.raises(
        VerificationError, match=rf"layer 2 .* \({other.__name__}\): int8 supports no"
    ):
        quantize(module)
    module.rest = nn.Sequential(*(each for each in layers if isinstance(each, nn.Linear)))
    with pytest.raises(VerificationError, match=r"layer 2 .* \(Linear\): there is no ReLU between"):
        quantize(module)


@pytest.mark.parametrize(
    ("index", "replacement", "message"),
    [
        (
            -2,
            [nn.Conv2d(5, 16, 3, padding=1, bias=False)],
            r"layer 10 .* \(Conv2d\): it has no bias",
        ),
        (
            -2,
            [nn.Conv2d(5, 16, 3, padding="same")],
            r"layer 10 .*\(Conv2d\): its padding is 'same'",
        ),
        (
            2,
            [nn.Flatten(), nn.Unflatten(1, (5, 2, 3))],
            r"layer 4 .* \(Flatten\): int8 supports no ",
        ),
    ],
)
def test_a_layer_that_int8_does_not_support_is_named(
    convolutional_generator: Generator,
    index: int,
    replacement: list[nn.Module],
    message: str,
) -> None:
    module = RewrittenGenerator(convolutional_generator).eval()
    layers = [*module.rest]
    module.rest = nn.Sequential(*layers[:index], *replacement, *layers[index:][1:])
    with pytest.raises(VerificationError, match=message):
        quantize(module)


@pytest.mark.parametrize("value", [3e38, float("inf"), float("nan")])
def test_weights_without_a_common_scale_are_rejected(value: float) -> None:
    module = tiny_module()
    module.label_table.data[0, 0] = value
    with pytest.raises(VerificationError, match=r"int8 quantization fails for .*; export with"):
        quantize(module)


def test_a_layer_of_zeros_is_supported() -> None:
    module = tiny_module()
    for parameter in module.rest[1].parameters():
        parameter.data.zero_()
    feeds = {"noise": standard_normal(0, 0, 3, 10), "label": np.arange(3)}
    images, expected = (
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0]
        for model in (export_to_int8_onnx(quantize(module)), export_to_onnx(module))
    )
    np.testing.assert_allclose(images.astype(int), expected, atol=2)
