"""Quantization of one layer's weights, bias and inputs."""

import copy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from cgan_export.int8.rounding import per_output, round_weights, weight_matrix
from cgan_export.int8.scales import (
    MAX_ACTIVATION,
    MAX_CONVOLUTION_BIAS,
    MAX_LINEAR_BIAS,
    MIN_SCALE,
    divide_by_scale,
    weight_bounds,
    weight_scales,
)


@dataclass(frozen=True)
class QuantizedLayer:
    """A linear or convolutional layer: weight_scale * input_scale * (weight * inputs + bias)."""

    weight: Tensor  # int8 [outputs, inputs] or [outputs, inputs, height, width]
    bias: Tensor  # int32 [outputs]
    weight_scale: Tensor  # float32 [outputs], values that float16 represents exactly
    input_scale: float  # of the uint8 inputs


def quantize_layer(
    layer: nn.Linear | nn.Conv2d, exact: Tensor, rounded: Tensor, limit: float
) -> tuple[QuantizedLayer, Tensor, Tensor]:
    """Quantize one layer.

    Args:
        layer: the float32 layer, which has a bias and is not changed.
        exact: its inputs in float32, [images, inputs, ...].
        rounded: its inputs if the layers before it are quantized.
        limit: larger inputs are clipped.

    Returns:
        The quantized layer, the outputs of the float32 layer for `exact`, and the outputs of the
        quantized layer for `rounded`.
    """
    bias = cast(Tensor, layer.bias)
    scale = weight_scales(weight_matrix(layer.weight))
    # With this scale, uint8 covers the inputs up to the limit, and the bias is at most max_bias.
    max_bias = MAX_LINEAR_BIAS if isinstance(layer, nn.Linear) else MAX_CONVOLUTION_BIAS
    largest = min(exact.max().item(), limit)
    needed = largest / MAX_ACTIVATION, (bias.abs() / scale).max().item() / max_bias
    input_scale = max(*needed, MIN_SCALE)
    inputs = divide_by_scale(rounded, input_scale).clamp(0, MAX_ACTIVATION) * input_scale
    step = scale.double()

    def nearest(weights: Tensor, column: int, others: Tensor) -> Tensor:
        neighbor = column ^ 1  # the other column of the pair
        unpaired = neighbor == others.shape[1]
        low, high = weight_bounds(
            torch.zeros(len(step)) if unpaired else others[:, neighbor] / step
        )
        return (weights / step).round().clamp(low, high) * step

    weight = (round_weights(layer, inputs, nearest) / per_output(step, layer.weight)).round()
    quantized_layer = copy.deepcopy(layer)
    quantized_layer.weight.copy_(weight * per_output(step, layer.weight))
    outputs = layer(exact)
    # The bias compensates for the typical error of the rounded weights and inputs. In convolutions,
    # a few large errors, of clipped inputs for instance, would dominate the mean.
    errors = (outputs - quantized_layer(inputs)).transpose(0, 1).flatten(1)
    error = errors.mean(1) if isinstance(layer, nn.Linear) else errors.median(1).values
    bias = ((bias + error) / (scale * input_scale)).round()
    quantized_layer.bias = nn.Parameter(bias * scale * input_scale)
    quantized = QuantizedLayer(weight.to(torch.int8), bias.to(torch.int32), scale, input_scale)
    return quantized, outputs, quantized_layer(inputs)
