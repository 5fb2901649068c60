"""Quantize the layers of a generator from float32 to 8-bit integers.

Weights are int8, symmetric, with one scale per output. Activations follow a ReLU, so they are
uint8 with one scale per layer. All scales are computed at export, from generated images whose
labels cycle through the classes, so an image does not depend on the other images in its batch.

Integer sums are the same on every processor with one exception: x86 without VNNI adds pairs of
adjacent products in 16 bits, and saturates. Two adjacent weights of one sign therefore add up to at
most 128, because 255 * 128 fits into 16 bits. The first layer stays float32, with rounded weights,
so that its sums are exact (docs/design/0004).
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cgan_export.errors import VerificationError
from cgan_export.int8.equalization import equalize
from cgan_export.int8.layer import QuantizedLayer, quantize_layer
from cgan_export.int8.rounding import per_output
from cgan_export.int8.scales import (
    IMAGE_SCALE,
    LOGIT_SCALE,
    LOGIT_ZERO,
    MAX_FLOAT16_INTEGER,
    MAX_FLOAT32_INTEGER,
    divide_by_scale,
    next_power_of_two,
)
from cgan_export.tracing.networks import RewrittenGenerator
from cgan_runtime.noise import MAX_NOISE_STEP, STEPS_PER_UNIT, standard_normal
from cgan_training.networks import Crop

CALIBRATION_IMAGES = 16_384
MAX_CALIBRATION_VALUES = 2**25  # of a layer's outputs; calibration uses fewer images if necessary
EQUALIZATION_SHARE = 1 / 32  # share of the calibration images that equalization uses
MIN_EQUALIZATION_IMAGES = 32
MAX_DOUBLINGS = 64  # attempts to enlarge the quantization steps of the first layer


@dataclass(frozen=True)
class QuantizedGenerator:
    """A generator of which all layers but the first are quantized."""

    module: RewrittenGenerator  # the first layer, with rounded weights, and the order of the layers
    layers: dict[str, QuantizedLayer]  # the layers after the first, by their name in module.rest

    @property
    def scales_and_zeros(self) -> list[tuple[float, int]]:
        """Scale and zero point of each quantized layer's inputs, then of the last outputs."""
        inputs = [(layer.input_scale, 0) for layer in self.layers.values()]
        return [*inputs, (LOGIT_SCALE, LOGIT_ZERO)]

    def generate(self, noise: Tensor, label: Tensor) -> Tensor:
        """Compute the images of the int8 file with integer arithmetic.

        Sums are scaled in float32 as in ONNX Runtime, so that ties are rounded in the same way.

        Args:
            noise: float32 [batch, noise_dim].
            label: int64 [batch].

        Returns:
            uint8 [batch, channels, height, width].
        """
        with torch.no_grad():
            scales_and_zeros = iter(self.scales_and_zeros)
            scale, _ = next(scales_and_zeros)
            hidden = self.module.hidden(noise, label)
            activations = divide_by_scale(hidden, scale).clamp(0, 255).double()
            for name, layer in self.module.rest.named_children():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    scale, zero = next(scales_and_zeros)
                    outputs = self._apply(layer, self.layers[name], activations, scale)
                    activations = outputs.add(zero).clamp(0, 255).sub(zero).double()
                elif not isinstance(layer, nn.ReLU):  # clamp(0, 255) replaces the ReLU
                    activations = layer(activations)
            pixels = (activations * LOGIT_SCALE).sigmoid().div(IMAGE_SCALE).round().clamp(0, 255)
        return pixels.to(torch.uint8).view(-1, *self.module.image_shape)

    @staticmethod
    def _apply(
        layer: nn.Linear | nn.Conv2d, quantized: QuantizedLayer, inputs: Tensor, output_scale: float
    ) -> Tensor:
        """Return a quantized layer's outputs for integer inputs, as multiples of output_scale."""
        integer_layer = copy.deepcopy(layer).double()
        integer_layer.weight.copy_(quantized.weight)
        integer_layer.bias = nn.Parameter(quantized.bias.double())
        sums: Tensor = integer_layer(inputs)
        scale = quantized.weight_scale * quantized.input_scale / output_scale
        return (sums.float() * per_output(scale, sums[0])).round()


def quantize(module: RewrittenGenerator) -> QuantizedGenerator:
    """Quantize the layers of a generator.

    Args:
        module: in eval mode, on the CPU. It is not changed.

    Raises:
        VerificationError: int8 does not support a layer, or its values cannot be quantized.
    """
    _require_supported(module)
    module = copy.deepcopy(module).eval()
    layers: dict[str, QuantizedLayer] = {}
    with torch.no_grad():
        _make_first_layer_exact(module)
        hidden = module.hidden(*noise_and_labels(module, _calibration_images(module)))
        images = max(MIN_EQUALIZATION_IMAGES, int(len(hidden) * EQUALIZATION_SHARE))
        limits = equalize(module.rest, hidden[:images])
        float_values = quantized_values = hidden
        for name, layer in module.rest.named_children():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layers[name], float_values, quantized_values = quantize_layer(
                    layer, float_values, quantized_values, limits.get(name, math.inf)
                )
            else:
                float_values, quantized_values = layer(float_values), layer(quantized_values)
    return QuantizedGenerator(module, layers)


def _require_supported(module: RewrittenGenerator) -> None:
    """Raise VerificationError, which names the layer, unless int8 supports every layer."""
    follows_relu = False
    for number, layer in enumerate(module.rest, start=2):  # module.rest omits the first layer
        reason = None
        if isinstance(layer, nn.Linear | nn.Conv2d):
            if not follows_relu:
                reason = "there is no ReLU between it and the layer before it"
            elif layer.bias is None:
                reason = "it has no bias"
            elif isinstance(layer, nn.Conv2d) and isinstance(layer.padding, str):
                reason = f"its padding is {layer.padding!r}"
            follows_relu = False
        elif isinstance(layer, nn.ReLU):
            follows_relu = True
        elif not isinstance(layer, nn.Unflatten | nn.PixelShuffle | Crop):
            reason = "int8 supports no layer of this type"
        if reason:
            raise VerificationError(
                f"int8 cannot quantize layer {number} of the generator ({type(layer).__name__}): "
                f"{reason}; export with --precision fp16"
            )


def _calibration_images(module: RewrittenGenerator) -> int:
    """Return the number of images whose activations fit into the memory limit."""
    activations = module.hidden(*noise_and_labels(module, 1))
    largest = activations.numel()
    for layer in module.rest:
        activations = layer(activations)
        largest = max(largest, activations.numel())
    return min(CALIBRATION_IMAGES, max(1, MAX_CALIBRATION_VALUES // largest))


def noise_and_labels(module: RewrittenGenerator, count: int) -> tuple[Tensor, Tensor]:
    """Return noise, float32 [count, noise_dim], and labels, int64 [count], for calibration."""
    noise = standard_normal(0, 0, count, len(module.noise_weight))
    return torch.from_numpy(noise), torch.arange(count) % len(module.label_table)


def _make_first_layer_exact(module: RewrittenGenerator) -> None:
    """Round the weights of the first layer so that its float32 sums need no rounding.

    The runtime's noise is k / 32 with |k| <= 127. The rounded weights of a unit are m * step with
    |m| < 2**11, where step is a power of two. Every partial sum is then s * step / 32 with an
    integer |s| < 2**24. float32 represents it exactly, so the order of summation does not matter.

    Raises:
        VerificationError: the magnitudes of the weights differ too much.
    """
    weight, table = module.noise_weight, module.label_table  # [noise_dim, units], [classes, units]
    step = next_power_of_two(weight.abs().amax(0) / (MAX_FLOAT16_INTEGER - 1))
    for _ in range(MAX_DOUBLINGS):
        table_step = next_power_of_two(table.abs().amax(0) / (MAX_FLOAT16_INTEGER - 1))
        table_step = table_step.maximum(step / STEPS_PER_UNIT)
        integers, rows = (weight / step).round(), (table / table_step).round() * table_step
        largest_sum = MAX_NOISE_STEP * integers.abs().sum(0)
        largest_sum = largest_sum + rows.abs().amax(0) / (step / STEPS_PER_UNIT)
        if largest_sum.max() < MAX_FLOAT32_INTEGER:
            break
        step = torch.where(largest_sum < MAX_FLOAT32_INTEGER, step, 2 * step)
    else:
        raise VerificationError(
            "int8 quantization fails for the first layer, because the magnitudes of its weights "
            "differ too much; export with --precision fp16"
        )
    weight.copy_(integers * step)
    table.copy_(rows)
