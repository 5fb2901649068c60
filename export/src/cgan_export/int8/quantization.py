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

from cgan_export.errors import VerificationError
from cgan_export.int8.balance import balance
from cgan_export.int8.grid import (
    FLOAT16_INTEGERS,
    FLOAT32_INTEGERS,
    INK_SCALE,
    LARGEST_ACTIVATION,
    LOGIT_SCALE,
    LOGIT_ZERO,
    bounds,
    power_of_two,
    to_steps,
    weight_steps,
)
from cgan_export.int8.rounding import matrix, per_output, rounded_weight
from cgan_export.int8.sensitivity import noise_and_labels
from cgan_export.tracing.trace import ContractGenerator
from cgan_runtime.noise import LARGEST, STEPS

SEEN = 16_384  # images whose inputs a layer's weights are rounded for
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

        Sums are scaled in float32, as the runtime does it: a number that lies between two steps is
        rounded to the same one.

        Args:
            noise: float32 [batch, noise_dim].
            label: int64 [batch].
        """
        with torch.no_grad():
            scales = [*(small.input_scale for small in self.layers.values()), LOGIT_SCALE]
            state = to_steps(self.first.hidden(noise, label), scales.pop(0)).clamp(0, 255).double()
            for name, layer in self.first.rest.named_children():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    zero = LOGIT_ZERO if len(scales) == 1 else 0
                    steps = self._apply(layer, self.layers[name], state, scales.pop(0))
                    state = steps.add(zero).clamp(0, 255).sub(zero).double()
                elif not isinstance(layer, nn.ReLU | nn.Hardtanh):  # a byte ends where they do
                    state = layer(state)
            grey = (state * LOGIT_SCALE).sigmoid().div(INK_SCALE).round().clamp(0, 255)
        return grey.to(torch.uint8).view(-1, 1, self.first.height, self.first.width)

    @staticmethod
    def _apply(
        layer: nn.Linear | nn.Conv2d, small: QuantizedLayer, state: Tensor, output_scale: float
    ) -> Tensor:
        whole = copy.deepcopy(layer).double()
        whole.weight.copy_(small.weight)
        whole.bias = nn.Parameter(small.bias.double())
        sums: Tensor = whole(state)
        scale = small.weight_scale * small.input_scale / output_scale
        return (sums.float() * per_output(scale, sums[0])).round()


def quantize(module: ContractGenerator) -> QuantizedGenerator:
    """Turn a generator's layers into integers.

    Args:
        module: in eval mode, on the CPU. It is left as it is.

    Raises:
        VerificationError: it has a layer that does not get what a ReLU gives.
    """
    module = copy.deepcopy(module).eval()
    noise, label = noise_and_labels(module, SEEN)
    layers = {}
    steps = balance(module)
    with torch.no_grad():
        _make_exact(module)
        exact = rounded = module.hidden(noise, label)
        for name, layer in module.rest.named_children():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layers[name], exact, rounded = _quantized(layer, steps[name], exact, rounded)
            else:
                exact, rounded = layer(exact), layer(rounded)
    return QuantizedGenerator(module, layers)


def _quantized(
    layer: nn.Linear | nn.Conv2d, input_scale: float, exact: Tensor, rounded: Tensor
) -> tuple[QuantizedLayer, Tensor, Tensor]:
    """Turn one layer into integers.

    Args:
        layer: is left as it is.
        input_scale: what a step of its inputs is worth.
        exact: the inputs that it gets, [images, inputs, ...].
        rounded: those that the layers before it give once they are integers.

    Returns:
        The layer, and both kinds of outputs.
    """
    scale = weight_steps(matrix(layer.weight))
    inputs = to_steps(rounded, input_scale).clamp(0, LARGEST_ACTIVATION) * input_scale
    step = scale.double()

    def nearest(weights: Tensor, column: int, others: Tensor) -> Tensor:
        neighbour = column ^ 1  # they are added in pairs
        lone = neighbour == others.shape[1]
        low, high = bounds(torch.zeros(len(step)) if lone else others[:, neighbour] / step)
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


def _make_exact(module: ContractGenerator) -> None:
    """Round the first layer so that its sums, of the runtime's noise, need no rounding at all.

    That noise is n / 32 with |n| <= 127. Weights that are whole numbers below 2**11 times a power
    of two of their unit's own keep every partial sum a whole number below 2**24, which float32
    holds, whatever the order.

    Raises:
        VerificationError: the weights are so far apart that no such steps are.
    """
    weight, table = module.noise_weight, module.label_table  # [noise_dim, units], [classes, units]
    step = power_of_two(weight.abs().amax(0) / (FLOAT16_INTEGERS - 1))
    for _ in range(MOST_DOUBLINGS):
        of_table = power_of_two(table.abs().amax(0) / (FLOAT16_INTEGERS - 1))
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
