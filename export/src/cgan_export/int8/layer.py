"""Quantize the weights, the bias and the inputs of one layer."""

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
    MIN_FLOAT16,
    divide_by_scale,
    weight_bounds,
    weight_scales,
)


@dataclass(frozen=True)
class QuantizedLayer:
    """A linear or convolutional layer that computes integers.

    Its outputs are weight_scale * input_scale * (weight * inputs + bias).
    """

    weight: Tensor  # int8 [outputs, inputs] or [outputs, inputs, height, width]
    bias: Tensor  # int32 [outputs]
    weight_scale: Tensor  # float32 [outputs], values that float16 represents exactly
    input_scale: float  # scale of the uint8 inputs


def quantize_layer(
    layer: nn.Linear | nn.Conv2d, float_inputs: Tensor, quantized_inputs: Tensor, limit: float
) -> tuple[QuantizedLayer, Tensor, Tensor]:
    """Quantize one layer.

    Args:
        layer: the float32 layer, which has a bias and is not changed.
        float_inputs: inputs from the float32 layers before this one, [images, inputs, ...].
        quantized_inputs: inputs from the quantized layers before this one, for the same images.
        limit: inputs above this value are clipped.

    Returns:
        The quantized layer, the outputs of the float32 layer for `float_inputs`, and the outputs of
        the quantized layer for `quantized_inputs`.
    """
    bias = cast(Tensor, layer.bias)
    scale = weight_scales(weight_matrix(layer.weight))
    max_bias = MAX_LINEAR_BIAS if isinstance(layer, nn.Linear) else MAX_CONVOLUTION_BIAS
    # With the input scale, uint8 covers the inputs up to the limit, and the bias is at most
    # max_bias.
    scale_for_inputs = min(float_inputs.max().item(), limit) / MAX_ACTIVATION
    scale_for_bias = (bias.abs() / scale).max().item() / max_bias
    input_scale = max(scale_for_inputs, scale_for_bias, MIN_FLOAT16)
    inputs = divide_by_scale(quantized_inputs, input_scale).clamp(0, MAX_ACTIVATION) * input_scale
    scale64 = scale.double()

    def nearest(weights: Tensor, column: int, rounded: Tensor) -> Tensor:
        partner = column + 1 if column % 2 == 0 else column - 1  # the other column of the pair
        has_partner = partner < rounded.shape[1]
        low, high = weight_bounds(
            rounded[:, partner] / scale64 if has_partner else torch.zeros(len(scale64))
        )
        return (weights / scale64).round().clamp(low, high) * scale64

    weight = (round_weights(layer, inputs, nearest) / per_output(scale64, layer.weight)).round()
    quantized_layer = copy.deepcopy(layer)
    quantized_layer.weight.copy_(weight * per_output(scale64, layer.weight))
    outputs = layer(float_inputs)
    # The bias compensates for the typical error of the rounded weights and inputs. In convolutions
    # this is the median, because a few large errors, such as those of clipped inputs, would
    # dominate the mean.
    errors = (outputs - quantized_layer(inputs)).transpose(0, 1).flatten(1)
    error = errors.mean(1) if isinstance(layer, nn.Linear) else errors.median(1).values
    bias = ((bias + error) / (scale * input_scale)).round()
    quantized_layer.bias = nn.Parameter(bias * scale * input_scale)
    quantized = QuantizedLayer(weight.to(torch.int8), bias.to(torch.int32), scale, input_scale)
    return quantized, outputs, quantized_layer(inputs)
