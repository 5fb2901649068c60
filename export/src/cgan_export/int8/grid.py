"""What fits into bytes, and the steps in which it does."""

from torch import Tensor
from torch.nn import functional

LARGEST_WEIGHT = 127  # of int8, symmetric
LARGEST_PAIR = 128  # of two neighbours of one sign: 255 * 128 < 2**15
LARGEST_ACTIVATION = 255  # of uint8
LARGEST_BIAS = 2**30  # of a convolution: leaves room for the sums, in int32
# A product's bias is eight weights of constant inputs at most (int8.py).
LARGEST_PRODUCT_BIAS = 8 * LARGEST_ACTIVATION * LARGEST_WEIGHT
# A byte covers logits from -6.5 to 6.5, whose sigmoids are 0.4 and 254.6 of 255.
LOGIT_SCALE, LOGIT_ZERO = 13 / 255, 128
# A hair more than 1/255: at the logit 0 it is 127.49, where 127.5 would be a tie that a last bit
# decides. No other of the 256 is near one.
INK_SCALE = 1 / 254.98
FLOAT16_INTEGERS, FLOAT32_INTEGERS = 2**11, 2**24  # up to these every whole number is exact
LEAST_STEP = 2.0**-24  # of float16


def to_steps(values: Tensor, scale: float) -> Tensor:
    """Return how many steps of a scale, rounded half to even."""
    return (values / scale).round()


def weight_steps(weight: Tensor) -> Tensor:
    """Return steps in which an output's weights and pairs fit: [outputs, inputs] to [outputs].

    They are numbers that float16 holds.
    """
    largest = weight.abs().amax(1) / LARGEST_WEIGHT
    least = largest.maximum(pair_sums(weight).amax(1) / LARGEST_PAIR)
    digits = (power_of_two(least) / FLOAT16_INTEGERS).clamp(min=LEAST_STEP)
    steps: Tensor = (least / digits).ceil().clamp(min=1) * digits
    return steps


def pair_sums(weight: Tensor) -> Tensor:
    """Return how much neighbours of one sign add up to: [outputs, inputs] to [outputs, pairs]."""
    pairs = functional.pad(weight, [0, weight.shape[1] % 2]).unflatten(1, (-1, 2))
    sums: Tensor = pairs.clamp(min=0).sum(2).maximum((-pairs).clamp(min=0).sum(2))
    return sums


def bounds(neighbour: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest step that a weight may have beside its neighbour's."""
    low = (-LARGEST_PAIR - neighbour.clamp(max=0)).clamp(min=-LARGEST_WEIGHT)
    high = (LARGEST_PAIR - neighbour.clamp(min=0)).clamp(max=LARGEST_WEIGHT)
    return low, high


def power_of_two(values: Tensor) -> Tensor:
    """Return the powers of two that are no smaller, down to float16's least number."""
    return values.clamp(min=LEAST_STEP).log2().ceil().exp2()
