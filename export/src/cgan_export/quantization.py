"""From float32 layers to layers of eight-bit integers.

Weights are int8, symmetric, with a scale for each output. Activations, which a ReLU leaves at 0 or
above, are uint8 with one scale a layer. Scales are fixed at export, from images drawn of all
labels: what an image looks like does not depend on its neighbours in the batch.

Integer sums are the same on every processor but for one trap: x86 without VNNI adds products of
neighbours in 16 bits, and saturates. So no two neighbouring weights of one sign add up to more than
128, and 255 * 128 fits. The first layer is float32 and exact all the same (docs/design/0004).
"""

import copy
import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_export.errors import VerificationError
from cgan_export.graph import ContractGenerator
from cgan_runtime.noise import LARGEST, STEPS, standard_normal

IMAGES, SEED = 16_384, 0  # drawn to see what the layers get
ROWS = 65_536  # of a convolution's inputs, at most
LARGEST_WEIGHT = 127  # of int8, symmetric
LARGEST_PAIR = 128  # of two neighbours of one sign: 255 * 128 < 2**15
LARGEST_ACTIVATION = 255  # of uint8
DAMPING = 0.01  # of the mean second moment, for inputs that hardly vary
EVENING = 0.5  # 0 leaves the units' ranges as they are, 1 makes them the same
FLOAT16_INTEGERS, FLOAT32_INTEGERS = 2**11, 2**24  # up to these every whole number is exact
LEAST_STEP = 2.0**-24  # of float16


@dataclass(frozen=True)
class QuantizedLayer:
    """A linear or convolutional layer: scale * (weight * (its uint8 inputs) + bias)."""

    weight: Tensor  # int8 [outputs, inputs] or [outputs, inputs, height, width]
    bias: Tensor  # int32 [outputs]
    weight_scale: Tensor  # float32 [outputs]
    input_scale: float  # what a step of the inputs is worth


@dataclass(frozen=True)
class QuantizedGenerator:
    """What int8 files are made of."""

    first: ContractGenerator  # its first layer sums without rounding; the rest is not used
    layers: dict[str, QuantizedLayer]  # by the name that the layer has in first.rest


def quantize(module: ContractGenerator) -> QuantizedGenerator:
    """Turn a generator's layers into integers.

    Args:
        module: in eval mode, on the CPU. It is left as it is.

    Raises:
        VerificationError: it has a layer that does not get what a ReLU gives.
    """
    module = copy.deepcopy(module).eval()
    noise_dim, classes = len(module.noise_weight), len(module.label_table)
    noise = torch.from_numpy(standard_normal(SEED, 0, IMAGES, noise_dim))
    label = torch.arange(IMAGES) % classes
    layers = {}
    with torch.no_grad():
        _even_out(module, noise, label)
        _make_exact(module)
        exact = rounded = module.hidden(noise, label)
        for name, layer in module.rest.named_children():
            if not isinstance(layer, nn.Linear | nn.Conv2d):
                exact, rounded = layer(exact), layer(rounded)
                continue
            if exact.min() < 0:
                raise VerificationError(
                    "int8 needs a ReLU before each layer; export with --precision fp16"
                )
            input_scale = _number(exact.max().clamp(min=1e-6) / LARGEST_ACTIVATION)
            inputs = (rounded / input_scale).round().clamp(0, LARGEST_ACTIVATION) * input_scale
            exact = layer(exact)
            weight, weight_scale = _round(layer, inputs)
            layer.weight.copy_(weight * _per_output(weight_scale, weight))
            # What rounding changes in the mean, the bias takes back.
            layer.bias.add_((exact - layer(inputs)).transpose(0, 1).flatten(1).mean(1))
            bias = (layer.bias / (weight_scale * input_scale)).round()
            rounded = layer(inputs)
            layers[name] = QuantizedLayer(
                weight.to(torch.int8), bias.to(torch.int32), weight_scale, input_scale
            )
    return QuantizedGenerator(module, layers)


def _even_out(module: ContractGenerator, noise: Tensor, label: Tensor) -> None:
    """Bring the ranges of a layer's inputs nearer to each other, changing nothing that is drawn.

    A ReLU lets a positive factor through, so what one layer's outputs are divided by, the next
    layer's weights are multiplied with (Nagel et al. 2019, section 4.1).
    """
    before: list[Tensor] = [module.noise_weight.T, module.label_table.T]  # [outputs, ...]
    reached = module.hidden(noise, label)
    for layer in module.rest:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            range_ = reached.transpose(0, 1).flatten(1).amax(1)  # [channels]
            range_ = range_.clamp(min=1e-3 * _number(range_.max()) + 1e-12)
            factor = (range_ / range_.mean()) ** EVENING
            for parameter in before:
                # An Unflatten makes several outputs one channel.
                mine = factor.repeat_interleave(len(parameter) // len(factor))
                parameter.div_(_per_output(mine, parameter))
            inputs = _per_output(factor, reached.transpose(0, 1)).transpose(0, 1)
            reached = reached / inputs
            layer.weight.mul_(inputs)
            before = [layer.weight, layer.bias]
        reached = layer(reached)


def _make_exact(module: ContractGenerator) -> None:
    """Round the first layer so that its sums, of the runtime's noise, need no rounding at all.

    That noise is n / 32 with |n| <= 127. Weights that are whole numbers below 2**11 times a power
    of two of their unit's own keep every partial sum a whole number below 2**24, which float32
    holds, whatever the order.
    """
    weight, table = module.noise_weight, module.label_table  # [noise_dim, units], [classes, units]
    step = _power_of_two(weight.abs().amax(0) / (FLOAT16_INTEGERS - 1))
    while True:
        of_table = _power_of_two(table.abs().amax(0) / (FLOAT16_INTEGERS - 1))
        of_table = of_table.maximum(step / STEPS)
        whole, rows = (weight / step).round(), (table / of_table).round() * of_table
        largest = LARGEST * whole.abs().sum(0) + rows.abs().amax(0) / (step / STEPS)
        if largest.max() < FLOAT32_INTEGERS:
            break
        step = torch.where(largest < FLOAT32_INTEGERS, step, 2 * step)
    weight.copy_(whole * step)
    table.copy_(rows)


def _round(layer: nn.Linear | nn.Conv2d, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Round a layer's weights so that its outputs, not its weights, change least.

    Frantar et al. 2023 (GPTQ), section 3: the inputs are rounded away one after the other, and
    what one loses is made up for by those that are still free, as the second moments say.

    Returns:
        The weights in steps, float32 of whole numbers, shaped as they were; and what a step of
        each output is worth, float32 [outputs].
    """
    free = _matrix(layer.weight).double()  # [outputs, inputs]
    scale = _scale(free)
    step = scale.double()[:, None]
    rows = _rows(layer, inputs).double()
    moments = rows.T @ rows / len(rows)
    damping = DAMPING * moments.diagonal().mean().clamp(min=1e-12)
    moments += damping * torch.eye(len(moments))
    inverse = torch.linalg.cholesky(torch.linalg.inv(moments), upper=True)
    rounded = torch.empty_like(free)
    for column in range(free.shape[1]):
        mine = free[:, column : column + 1]
        low, high = _bounds(rounded, column)
        steps = (mine / step).round().clamp(low, high)
        rounded[:, column : column + 1] = steps
        lost = (mine - steps * step) / inverse[column, column]
        free[:, column + 1 :] -= lost * inverse[column : column + 1, column + 1 :]
    return _unmatrix(rounded.float(), layer.weight), scale


def _scale(weight: Tensor) -> Tensor:
    """Return steps in which an output's weights and neighbours fit: float32 [outputs]."""
    pairs = functional.pad(weight, [0, weight.shape[1] % 2]).unflatten(1, (-1, 2))
    sums = torch.stack([pairs.clamp(min=0).sum(2), (-pairs).clamp(min=0).sum(2)])
    largest = weight.abs().amax(1) / LARGEST_WEIGHT
    least = largest.maximum(sums.amax((0, 2)) / LARGEST_PAIR)
    # A number that float16 holds, and no smaller.
    digits = _power_of_two(least) / FLOAT16_INTEGERS
    return ((least / digits).ceil() * digits).float()


def _bounds(rounded: Tensor, column: int) -> tuple[Tensor, Tensor]:
    """Return what a column's weights may be, beside their neighbours: two of [outputs, 1]."""
    neighbour = torch.zeros_like(rounded[:, :1])
    if column % 2:
        neighbour = rounded[:, column - 1 : column]
    low = (-LARGEST_PAIR - neighbour.clamp(max=0)).clamp(min=-LARGEST_WEIGHT)
    high = (LARGEST_PAIR - neighbour.clamp(min=0)).clamp(max=LARGEST_WEIGHT)
    return low, high


def neighbours(weight: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the pairs of weights whose products x86 may add in 16 bits: each two of [outputs]."""
    columns = list(_matrix(weight).unbind(1))
    return [pair for number, pair in enumerate(pairwise(columns)) if number % 2 == 0]


def _matrix(weight: Tensor) -> Tensor:
    """Return [outputs, inputs] in the order in which sums are made: channels vary fastest."""
    return weight.movedim(1, -1).flatten(1)


def _unmatrix(matrix: Tensor, like: Tensor) -> Tensor:
    return matrix.view_as(like.movedim(1, -1)).movedim(-1, 1).contiguous()


def _rows(layer: nn.Linear | nn.Conv2d, inputs: Tensor) -> Tensor:
    """Return what the matrix of weights multiplies: [rows, inputs]."""
    if isinstance(layer, nn.Linear):
        return inputs
    images = inputs[: max(1, ROWS // inputs[0, 0].numel())]
    patches = functional.unfold(
        images,
        layer.kernel_size,
        padding=layer.padding,  # type: ignore[arg-type]
        stride=layer.stride,
    )  # [images, channels * taps, places]
    channels_last = patches.unflatten(1, (layer.in_channels, -1)).permute(0, 3, 2, 1)
    return channels_last.flatten(2).flatten(0, 1)


def _per_output(values: Tensor, like: Tensor) -> Tensor:
    """Return [outputs], shaped to multiply [outputs, ...]."""
    return values.view(-1, *[1] * (like.ndim - 1))


def _power_of_two(values: Tensor) -> Tensor:
    return torch.exp2(values.clamp(min=LEAST_STEP).log2().ceil())


def _number(value: Tensor) -> float:
    """Return a float32 as Python's own number."""
    number = float(value)
    assert math.isfinite(number)
    return number
