"""Quantization of a generator's layers from float32 to 8-bit integers.

Weights are int8, symmetric, with one scale per output. Activations follow a ReLU, so they are
uint8 with one scale per layer. All scales are fixed at export, from generated images of all
labels, so an image does not depend on the other images in its batch.

Integer sums are the same on every processor with one exception: x86 without VNNI adds pairs of
adjacent terms in 16 bits, and saturates. Two adjacent weights of one sign therefore add up to at
most 128, because 255 * 128 fits into 16 bits. The first layer stays float32, with weights for which
its sums are exact (docs/design/0004).
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
    FLOAT16_INTEGERS,
    FLOAT32_INTEGERS,
    IMAGE_SCALE,
    LOGIT_SCALE,
    LOGIT_ZERO,
    divide_by_scale,
    next_power_of_two,
)
from cgan_export.tracing.networks import RewrittenGenerator
from cgan_runtime.noise import MAX_NOISE_STEP, STEPS_PER_UNIT, standard_normal
from cgan_training.networks import Crop

CALIBRATION_IMAGES = 16_384
MAX_CALIBRATION_VALUES = 2**25  # of one layer's outputs; larger outputs need fewer images
EQUALIZATION_SHARE = 1 / 32  # share of the calibration images that equalization uses
MIN_EQUALIZATION_IMAGES = 32
MAX_DOUBLINGS = 64  # of a scale of the first layer


@dataclass(frozen=True)
class QuantizedGenerator:
    """A generator in integers, from which an int8 file is made."""

    module: RewrittenGenerator  # float32: gives the first layer and the order of the others
    layers: dict[str, QuantizedLayer]  # the layers after the first, by their name in module.rest

    def generate(self, noise: Tensor, label: Tensor) -> Tensor:
        """Compute the images of the int8 file with integer arithmetic.

        Sums are scaled in float32, as ONNX Runtime does, so that ties are rounded alike.

        Args:
            noise: float32 [batch, noise_dim].
            label: int64 [batch].

        Returns:
            uint8 [batch, channels, height, width].
        """
        with torch.no_grad():
            scales = [*(layer.input_scale for layer in self.layers.values()), LOGIT_SCALE]
            hidden = self.module.hidden(noise, label)
            state = divide_by_scale(hidden, scales.pop(0)).clamp(0, 255).double()
            for name, layer in self.module.rest.named_children():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    zero = LOGIT_ZERO if len(scales) == 1 else 0
                    outputs = self._apply(layer, self.layers[name], state, scales.pop(0))
                    state = outputs.add(zero).clamp(0, 255).sub(zero).double()
                elif not isinstance(layer, nn.ReLU):  # clamp(0, 255) replaces it
                    state = layer(state)
            pixels = (state * LOGIT_SCALE).sigmoid().div(IMAGE_SCALE).round().clamp(0, 255)
        return pixels.to(torch.uint8).view(-1, *self.module.image_shape)

    @staticmethod
    def _apply(
        layer: nn.Linear | nn.Conv2d, quantized: QuantizedLayer, state: Tensor, output_scale: float
    ) -> Tensor:
        integer_layer = copy.deepcopy(layer).double()
        integer_layer.weight.copy_(quantized.weight)
        integer_layer.bias = nn.Parameter(quantized.bias.double())
        sums: Tensor = integer_layer(state)
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
        exact = rounded = module.hidden(*noise_and_labels(module, _calibration_images(module)))
        images = max(MIN_EQUALIZATION_IMAGES, int(len(exact) * EQUALIZATION_SHARE))
        limits = equalize(module.rest, exact[:images])
        for name, layer in module.rest.named_children():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layers[name], exact, rounded = quantize_layer(
                    layer, exact, rounded, limits.get(name, math.inf)
                )
            else:
                exact, rounded = layer(exact), layer(rounded)
    return QuantizedGenerator(module, layers)


def _require_supported(module: RewrittenGenerator) -> None:
    """Raise VerificationError, which names the layer, unless int8 supports every layer."""
    layers = list(module.rest.children())
    follows_relu = False
    for i, layer in enumerate(layers):
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
                f"int8 cannot quantize layer {i + 2} of the generator ({type(layer).__name__}): "
                f"{reason}; export with --precision fp16"
            )


def _calibration_images(module: RewrittenGenerator) -> int:
    """Return the number of images whose activations fit into the memory limit."""
    state = module.hidden(*noise_and_labels(module, 1))
    largest = state.numel()
    for layer in module.rest:
        state = layer(state)
        largest = max(largest, state.numel())
    return min(CALIBRATION_IMAGES, max(1, MAX_CALIBRATION_VALUES // largest))


def noise_and_labels(module: RewrittenGenerator, count: int) -> tuple[Tensor, Tensor]:
    """Return inputs for calibration: noise, float32 [count, noise_dim], and labels, int64."""
    noise = standard_normal(0, 0, count, len(module.noise_weight))
    return torch.from_numpy(noise), torch.arange(count) % len(module.label_table)


def _make_first_layer_exact(module: RewrittenGenerator) -> None:
    """Round the weights of the first layer so that its float32 sums need no rounding.

    The runtime's noise is n / 32 with |n| <= 127. Each rounded weight of a unit is an integer below
    2**11 times the unit's step, a power of two. Every partial sum is then an integer below 2**24
    times step / 32, which float32 represents exactly, so the order of summation does not matter.

    Raises:
        VerificationError: the magnitudes of the weights differ too much.
    """
    weight, table = module.noise_weight, module.label_table  # [noise_dim, units], [classes, units]
    step = next_power_of_two(weight.abs().amax(0) / (FLOAT16_INTEGERS - 1))
    for _ in range(MAX_DOUBLINGS):
        table_step = next_power_of_two(table.abs().amax(0) / (FLOAT16_INTEGERS - 1))
        table_step = table_step.maximum(step / STEPS_PER_UNIT)
        integers, rows = (weight / step).round(), (table / table_step).round() * table_step
        largest = MAX_NOISE_STEP * integers.abs().sum(0)
        largest = largest + rows.abs().amax(0) / (step / STEPS_PER_UNIT)
        if largest.max() < FLOAT32_INTEGERS:
            break
        step = torch.where(largest < FLOAT32_INTEGERS, step, 2 * step)
    else:
        raise VerificationError(
            "int8 quantization fails for the first layer, because the magnitudes of its weights "
            "differ too much; export with --precision fp16"
        )
    weight.copy_(integers * step)
    table.copy_(rows)
