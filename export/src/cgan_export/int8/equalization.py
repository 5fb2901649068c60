"""Scale feature maps before quantization, so that one uint8 scale suits all their channels.

The channels of a convolutional layer's output can differ in size by factors of a hundred, but their
quantization has one scale. One layer may divide a channel by a positive factor if the weights of
the next layer multiply it by that factor. The images stay the same, because ReLU(x / s) equals
ReLU(x) / s (Nagel et al. 2019, section 4.1). Each factor is a compromise between the range of the
channel and the range of the weights that multiply it (Xiao et al. 2023, section 4). The largest
values of a channel are clipped if that lowers the error of the images.
"""

import copy
from collections.abc import Iterator
from itertools import product
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_export.int8.layer import quantize_layer
from cgan_export.int8.rounding import per_output

MIGRATION_STRENGTHS = 0.5, 0.75, 1.0  # alpha of Xiao et al.; 1 ignores the ranges of the weights
CLIPPING_QUANTILES = 1.0, 0.9999, 0.999  # larger values of a channel are clipped
HEADROOM = 2.0  # range relative to the largest calibration value, which other images may exceed
MIN_CLIPPED = 5  # a quantile is tried only if it clips this many calibration values of a channel
SMALLEST_RANGE = 1e-4  # smallest range of a channel, relative to the largest value of all channels


def equalize(layers: nn.Sequential, activations: Tensor) -> dict[str, float]:
    """Scale the channels between layers, in place.

    Only the inputs of convolutions that have another layer before them are scaled.

    Args:
        layers: linear and convolutional layers with biases, a ReLU between any two of them, and
            layers that reshape. The last layer's outputs are the logits of the pixels.
        activations: inputs for calibration, float32 [images, inputs].

    Returns:
        The largest input that is not clipped, for each convolution that was changed, by its name.
    """
    limits: dict[str, float] = {}
    before: nn.Linear | nn.Conv2d | None = None
    for position, (name, layer) in enumerate(layers.named_children()):
        if isinstance(layer, nn.Conv2d) and before is not None:
            factors, limits[name] = _best_factors(
                layer, nn.Sequential(*list(layers)[position + 1 :]), activations
            )
            layer.weight.mul_(per_output(factors, layer.weight[0]))
            activations = activations / per_output(factors, activations[0])
            # Adjacent outputs form one channel after a pixel shuffle or nn.Unflatten.
            outputs = factors.repeat_interleave(len(before.weight) // len(factors))
            before.weight.div_(per_output(outputs, before.weight))
            cast(Tensor, before.bias).div_(outputs)
        if isinstance(layer, nn.Linear | nn.Conv2d):
            before = layer
        activations = layer(activations)
    return limits


def _best_factors(
    layer: nn.Conv2d, following: nn.Sequential, inputs: Tensor
) -> tuple[Tensor, float]:
    """Return the factors that change the images least if this layer alone is quantized.

    Args:
        layer: the convolution.
        following: the layers after the convolution.
        inputs: inputs of the convolution, float32 [images, channels, height, width].

    Returns:
        The factors, float32 [channels], and the largest scaled input that is not clipped.
    """
    images = following(layer(inputs)).sigmoid()

    def error(candidate: tuple[Tensor, float]) -> float:
        factors, limit = candidate
        scaled_layer = copy.deepcopy(layer)
        scaled_layer.weight.mul_(per_output(factors, layer.weight[0]))
        scaled = inputs / per_output(factors, inputs[0])
        _, _, outputs = quantize_layer(scaled_layer, scaled, scaled, limit)
        return functional.mse_loss(following(outputs).sigmoid(), images).item()

    return min(_candidates(layer, inputs), key=error)


def _candidates(layer: nn.Conv2d, inputs: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Yield factors, float32 [channels], and the largest scaled input that is not clipped.

    The factors of the first candidate change nothing.
    """
    yield torch.ones(inputs.shape[1]), HEADROOM * inputs.max().item()
    values = inputs.transpose(0, 1).flatten(1)
    weights = layer.weight.abs().amax((0, 2, 3)).clamp(min=torch.finfo(torch.float16).tiny)
    for quantile, strength in product(CLIPPING_QUANTILES, MIGRATION_STRENGTHS):
        rank = int(quantile * values.shape[1])
        if quantile < 1 and values.shape[1] - rank < MIN_CLIPPED:
            continue
        ranges = values.kthvalue(rank).values
        ranges = ranges.clamp(min=max(SMALLEST_RANGE * values.max().item(), 1e-12))
        factors = ranges**strength / weights ** (1 - strength)
        factors = factors / factors.log().mean().exp()
        limit = (ranges / factors).max().item()
        yield factors, HEADROOM * limit if quantile == 1 else limit
