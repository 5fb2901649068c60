"""Scaling of feature maps before quantization, so that one uint8 scale suits all their channels.

The channels of a convolutional layer's output can differ in size by factors of a hundred, but their
quantization has one scale. A channel that is divided by a positive factor by one layer, and
multiplied by it in the weights of the next, gives the same images, because the ReLU in between
keeps the factor (Nagel et al. 2019, section 4.1). Each factor is a compromise between the range of
the channel and the range of the weights that read it (Xiao et al. 2023, section 4). The largest
values of a channel may be clipped, if the images gain more than they lose.
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

SHARES_OF_RANGE = 0.5, 0.75, 1.0  # exponents of a channel's range; 1: the weights do not count
QUANTILES = 1.0, 0.9999, 0.999  # of a channel's values; larger ones than that are clipped
HEADROOM = 2.0  # times the largest value, for the larger ones of other images
MIN_CLIPPED = 5  # values of a channel, or too few are known of the clipped ones
SMALLEST_RANGE = 1e-4  # of a channel, relative to the largest one


def equalize(layers: nn.Sequential, state: Tensor) -> dict[str, float]:
    """Scale the channels between layers, in place.

    Only the inputs of convolutions that have another layer before them are scaled.

    Args:
        layers: linear and convolutional layers with biases, a ReLU between any two of them, and
            layers that move values; the last outputs are the logits of the pixels.
        state: inputs for calibration, float32 [images, inputs].

    Returns:
        The largest input that is not clipped, of each convolution that was changed, by its name.
    """
    limits: dict[str, float] = {}
    before: nn.Linear | nn.Conv2d | None = None
    for position, (name, layer) in enumerate(layers.named_children()):
        if isinstance(layer, nn.Conv2d) and before is not None:
            factors, limits[name] = _best_factors(
                layer, nn.Sequential(*list(layers)[position + 1 :]), state
            )
            layer.weight.mul_(per_output(factors, layer.weight[0]))
            state = state / per_output(factors, state[0])
            # The channels that a pixel shuffle or a view makes of one channel are adjacent.
            outputs = factors.repeat_interleave(len(before.weight) // len(factors))
            before.weight.div_(per_output(outputs, before.weight))
            cast(Tensor, before.bias).div_(outputs)
        if isinstance(layer, nn.Linear | nn.Conv2d):
            before = layer
        state = layer(state)
    return limits


def _best_factors(
    layer: nn.Conv2d, following: nn.Sequential, inputs: Tensor
) -> tuple[Tensor, float]:
    """Return the factors that change the images least if this layer alone is quantized.

    Args:
        layer: the convolution.
        following: the layers after it.
        inputs: of the convolution, float32 [images, channels, height, width].

    Returns:
        The factors, float32 [channels], and the largest scaled input that is not clipped.
    """
    images = following(layer(inputs)).sigmoid()

    def error(candidate: tuple[Tensor, float]) -> float:
        factors, limit = candidate
        scaled_layer = copy.deepcopy(layer)
        scaled_layer.weight.mul_(per_output(factors, layer.weight[0]))
        scaled = inputs / per_output(factors, inputs[0])
        outputs = quantize_layer(scaled_layer, scaled, scaled, limit)[2]
        return functional.mse_loss(following(outputs).sigmoid(), images).item()

    return min(_candidates(layer, inputs), key=error)


def _candidates(layer: nn.Conv2d, inputs: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Yield factors, float32 [channels], and the largest scaled input that is not clipped.

    The first ones change nothing.
    """
    yield torch.ones(inputs.shape[1]), HEADROOM * inputs.max().item()
    values = inputs.transpose(0, 1).flatten(1)
    weights = layer.weight.abs().amax((0, 2, 3)).clamp(min=torch.finfo(torch.float16).tiny)
    for quantile, share in product(QUANTILES, SHARES_OF_RANGE):
        rank = int(quantile * values.shape[1])
        if quantile < 1 and values.shape[1] - rank < MIN_CLIPPED:
            continue
        ranges = values.kthvalue(rank).values
        ranges = ranges.clamp(min=max(SMALLEST_RANGE * values.max().item(), 1e-12))
        factors = ranges**share / weights ** (1 - share)
        factors = factors / factors.log().mean().exp()
        limit = (ranges / factors).max().item()
        yield factors, HEADROOM * limit if quantile == 1 else limit
