"""From float32 layers to layers of eight-bit integers.

Weights are int8, symmetric, with a scale for each output. Activations, which a ReLU leaves at 0 or
above, are uint8 with one scale a layer. Scales are fixed at export, from images drawn of all
labels: what an image looks like does not depend on its neighbours in the batch.

Integer sums are the same on every processor but for one trap: x86 without VNNI adds the products
of two neighbours in 16 bits, and saturates. So no two neighbouring weights of one sign add up to
more than 128, and 255 * 128 fits. The first layer is float32, and exact all the same
(docs/design/0004).
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_export.errors import VerificationError
from cgan_export.graph import ContractGenerator
from cgan_export.rounding import matrix, per_output, rounded_weight, seen
from cgan_runtime.noise import LARGEST, STEPS

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
EVENING = 0.5  # 0 leaves the units' ranges as they are, 1 makes them the same
FLOAT16_INTEGERS, FLOAT32_INTEGERS = 2**11, 2**24  # up to these every whole number is exact
LEAST_STEP = 2.0**-24  # of float16
MOST_DOUBLINGS = 64  # of a step, to make room for a unit's largest sum


@dataclass(frozen=True)
class QuantizedLayer:
    """A linear or convolutional layer: weight_scale * input_scale * (weight * inputs + bias)."""

    weight: Tensor  # int8 [outputs, inputs] or [outputs, inputs, height, width]
    bias: Tensor  # int32 [outputs]
    weight_scale: Tensor  # float32 [outputs], which float16 holds
    input_scale: float  # what a step of the inputs, uint8, is worth


@dataclass(frozen=True)
class QuantizedGenerator:
    """What int8 files are made of."""

    first: ContractGenerator  # whose first layer sums without rounding
    layers: dict[str, QuantizedLayer]  # by the name that the layer has in first.rest

    def draw(self, noise: Tensor, label: Tensor) -> Tensor:
        """Work it out in whole numbers: what the file has to draw, uint8 [batch, 1, h, w].

        Args:
            noise: float32 [batch, noise_dim].
            label: int64 [batch].
        """
        with torch.no_grad():
            state = self.first.hidden(noise, label).double()
            for name, layer in self.first.rest.named_children():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    state = self._apply(layer, self.layers[name], state)
                else:
                    state = layer(state)
            logit = to_steps(state, LOGIT_SCALE).add(LOGIT_ZERO).clamp(0, 255) - LOGIT_ZERO
            grey = (logit * LOGIT_SCALE).sigmoid().div(INK_SCALE).round().clamp(0, 255)
        return grey.to(torch.uint8).view(-1, 1, self.first.height, self.first.width)

    @staticmethod
    def _apply(layer: nn.Linear | nn.Conv2d, small: QuantizedLayer, state: Tensor) -> Tensor:
        whole = copy.deepcopy(layer).double()
        whole.weight.copy_(small.weight)
        whole.bias = nn.Parameter(small.bias.double())
        sums: Tensor = whole(to_steps(state, small.input_scale).clamp(0, LARGEST_ACTIVATION))
        scale = small.weight_scale.double() * small.input_scale
        return sums * per_output(scale, sums[0])


def to_steps(values: Tensor, scale: float) -> Tensor:
    """Return how many steps of a scale, rounded half to even."""
    return (values / scale).round()


def quantize(module: ContractGenerator) -> QuantizedGenerator:
    """Turn a generator's layers into integers.

    Args:
        module: in eval mode, on the CPU. It is left as it is.

    Raises:
        VerificationError: it has a layer that does not get what a ReLU gives.
    """
    module = copy.deepcopy(module).eval()
    noise, label = seen(module)
    layers = {}
    with torch.no_grad():
        _even_out(module, noise, label)
        _make_exact(module)
        exact = rounded = module.hidden(noise, label)
        for name, layer in module.rest.named_children():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layers[name], exact, rounded = _quantized(layer, exact, rounded)
            else:
                exact, rounded = layer(exact), layer(rounded)
    return QuantizedGenerator(module, layers)


def _quantized(
    layer: nn.Linear | nn.Conv2d, exact: Tensor, rounded: Tensor
) -> tuple[QuantizedLayer, Tensor, Tensor]:
    """Turn one layer into integers.

    Args:
        layer: is left as it is.
        exact: the inputs that it gets, [images, inputs, ...].
        rounded: those that the layers before it give once they are integers.

    Returns:
        The layer, and both kinds of outputs.
    """
    if exact.min() < 0 or layer.bias is None:
        raise VerificationError(
            "int8 needs a ReLU before each layer and a bias in it; export with --precision fp16"
        )
    scale = _scale(matrix(layer.weight))
    # As small as the inputs allow, and large enough for the bias.
    most = LARGEST_PRODUCT_BIAS if isinstance(layer, nn.Linear) else LARGEST_BIAS
    for_bias = (layer.bias.abs() / scale).max().item() / most
    input_scale = max(exact.max().item() / LARGEST_ACTIVATION, for_bias, LEAST_STEP)
    inputs = to_steps(rounded, input_scale).clamp(0, LARGEST_ACTIVATION) * input_scale
    step = scale.double()

    def nearest(weights: Tensor, column: int, before: Tensor) -> Tensor:
        low, high = _bounds(before[:, column - 1] / step if column % 2 else torch.zeros(len(step)))
        return (weights / step).round().clamp(low, high) * step

    steps = rounded_weight(layer, inputs, nearest) / per_output(step, layer.weight)
    copied = copy.deepcopy(layer)
    copied.weight.copy_(steps.round() * per_output(step, layer.weight))
    wanted = layer(exact)
    # What rounding changes in the mean, the bias takes back.
    bias = layer.bias + (wanted - copied(inputs)).transpose(0, 1).flatten(1).mean(1)
    whole = (bias / (scale * input_scale)).round()
    copied.bias = nn.Parameter(whole * scale * input_scale)
    small = QuantizedLayer(steps.round().to(torch.int8), whole.to(torch.int32), scale, input_scale)
    return small, wanted, copied(inputs)


def _even_out(module: ContractGenerator, noise: Tensor, label: Tensor) -> None:
    """Bring the ranges of a layer's inputs nearer to each other, changing nothing that is drawn.

    A ReLU lets a positive factor through, so what one layer's outputs are divided by, the next
    layer's weights are multiplied with (Nagel et al. 2019, section 4.1).
    """
    before = [module.noise_weight.T, module.label_table.T]  # each [outputs, ...]
    reached = module.hidden(noise, label)
    for layer in module.rest:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            most = reached.transpose(0, 1).flatten(1).amax(1)  # [channels]
            most = most.clamp(min=1e-3 * most.max().item() + 1e-12)
            factor = (most / most.mean()) ** EVENING
            for parameter in before:
                # An Unflatten makes several outputs one channel.
                mine = factor.repeat_interleave(len(parameter) // len(factor))
                parameter.div_(per_output(mine, parameter))
            layer.weight.mul_(per_output(factor, layer.weight[0]))
            reached = reached / per_output(factor, reached[0])
            before = list(layer.parameters())
        reached = layer(reached)


def _make_exact(module: ContractGenerator) -> None:
    """Round the first layer so that its sums, of the runtime's noise, need no rounding at all.

    That noise is n / 32 with |n| <= 127. Weights that are whole numbers below 2**11 times a power
    of two of their unit's own keep every partial sum a whole number below 2**24, which float32
    holds, whatever the order.

    Raises:
        VerificationError: the weights are so far apart that no such steps are.
    """
    weight, table = module.noise_weight, module.label_table  # [noise_dim, units], [classes, units]
    step = _power_of_two(weight.abs().amax(0) / (FLOAT16_INTEGERS - 1))
    for _ in range(MOST_DOUBLINGS):
        of_table = _power_of_two(table.abs().amax(0) / (FLOAT16_INTEGERS - 1))
        of_table = of_table.maximum(step / STEPS)
        whole, rows = (weight / step).round(), (table / of_table).round() * of_table
        largest = LARGEST * whole.abs().sum(0) + rows.abs().amax(0) / (step / STEPS)
        if largest.max() < FLOAT32_INTEGERS:
            break
        step = torch.where(largest < FLOAT32_INTEGERS, step, 2 * step)
    else:
        raise VerificationError(
            "int8 finds no steps for a first layer whose weights are out of all bounds; export "
            "with --precision fp16"
        )
    weight.copy_(whole * step)
    table.copy_(rows)


def _scale(weight: Tensor) -> Tensor:
    """Return steps in which an output's weights and neighbours fit: float32 [outputs]."""
    pairs = functional.pad(weight, [0, weight.shape[1] % 2]).unflatten(1, (-1, 2))
    sums = torch.stack([pairs.clamp(min=0).sum(2), (-pairs).clamp(min=0).sum(2)])
    largest = weight.abs().amax(1) / LARGEST_WEIGHT
    least = largest.maximum(sums.amax((0, 2)) / LARGEST_PAIR)
    # A number that float16 holds, and no smaller.
    digits = (_power_of_two(least) / FLOAT16_INTEGERS).clamp(min=LEAST_STEP)
    return (least / digits).ceil().clamp(min=1) * digits


def _bounds(neighbour: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest step that a weight may have beside its neighbour's."""
    low = (-LARGEST_PAIR - neighbour.clamp(max=0)).clamp(min=-LARGEST_WEIGHT)
    high = (LARGEST_PAIR - neighbour.clamp(min=0)).clamp(max=LARGEST_WEIGHT)
    return low, high


def _power_of_two(values: Tensor) -> Tensor:
    """Return the powers of two that are no smaller, down to float16's least number."""
    return values.clamp(min=LEAST_STEP).log2().ceil().exp2()
