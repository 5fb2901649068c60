"""Limits of 8-bit integers, and quantization scales within these limits."""

from torch import Tensor
from torch.nn import functional

MAX_WEIGHT = 127  # int8, symmetric
MAX_WEIGHT_PAIR = 128  # largest sum of two adjacent weights of one sign: 255 * 128 < 2**15
MAX_ACTIVATION = 255  # uint8
MAX_CONVOLUTION_BIAS = 2**30  # leaves room for the sums in int32
# onnx_graph.py stores a linear layer's bias in weights whose inputs are constant, at most eight of
# which have the input 255.
MAX_LINEAR_BIAS = 8 * MAX_ACTIVATION * MAX_WEIGHT
# The last layer's outputs cover logits from -6.5 to 6.5, whose pixels are 0.4 and 254.6.
LOGIT_SCALE, LOGIT_ZERO = 13 / 255, 128
# Slightly more than 1/255, so that none of the 256 outputs lies halfway between two pixel values.
# With 1/255, the logit 0 would give 127.5, whose rounding depends on the last bit.
IMAGE_SCALE = 1 / 254.98
# float16 and float32 represent all integers up to these limits.
MAX_FLOAT16_INTEGER, MAX_FLOAT32_INTEGER = 2**11, 2**24
MIN_FLOAT16 = 2.0**-24  # smallest positive float16


def divide_by_scale(values: Tensor, scale: float) -> Tensor:
    """Return values / scale, rounded half to even."""
    return (values / scale).round()


def weight_scales(weight: Tensor) -> Tensor:
    """Return a scale per output that keeps its weights and weight pairs within their limits.

    Args:
        weight: [outputs, inputs].

    Returns:
        float32 [outputs], values that float16 represents exactly.
    """
    largest = weight.abs().amax(1) / MAX_WEIGHT
    least = largest.maximum(pair_sums(weight).amax(1) / MAX_WEIGHT_PAIR)
    # The scale is rounded up to a multiple of the distance between float16 values of its size.
    step = (next_power_of_two(least) / MAX_FLOAT16_INTEGER).clamp(min=MIN_FLOAT16)
    scales: Tensor = (least / step).ceil().clamp(min=1) * step
    return scales


def pair_sums(weight: Tensor) -> Tensor:
    """Return the larger of the positive and the negative sum of each pair of adjacent weights.

    Args:
        weight: [outputs, inputs]. The last input has no partner if the number of inputs is odd.

    Returns:
        The magnitudes of the sums, [outputs, pairs].
    """
    pairs = functional.pad(weight, [0, weight.shape[1] % 2]).unflatten(1, (-1, 2))
    sums: Tensor = pairs.clamp(min=0).sum(2).maximum((-pairs).clamp(min=0).sum(2))
    return sums


def weight_bounds(neighbor: Tensor) -> tuple[Tensor, Tensor]:
    """Return the minimum and maximum of an int8 weight, given the other weight of its pair."""
    low = (-MAX_WEIGHT_PAIR - neighbor.clamp(max=0)).clamp(min=-MAX_WEIGHT)
    high = (MAX_WEIGHT_PAIR - neighbor.clamp(min=0)).clamp(max=MAX_WEIGHT)
    return low, high


def next_power_of_two(values: Tensor) -> Tensor:
    """Return the smallest powers of two that are at least the values and at least MIN_FLOAT16."""
    return values.clamp(min=MIN_FLOAT16).log2().ceil().exp2()
