"""How far a network's units reach, and how much of what happens to them shows in the image."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cgan_export.tracing.trace import ContractGenerator
from cgan_runtime.noise import standard_normal

SEED = 0
RANGED, AT_A_TIME = 65_536, 4096  # images that say how far each unit reaches
TAIL = 32  # the largest of them
BEYOND = 15  # times as many images is how far the reach is meant for
SENSED, PROBES = 4096, 2  # images that say how much it shows, and directions in each
GREY_LEVELS = 255.0


@dataclass(frozen=True)
class LayerSensitivity:
    """What a layer gets, channel by channel, and how much it and what the layer gives show.

    A gain is the square of the change of an image, in grey levels and summed over its pixels,
    that a change of 1 makes, in the mean over images.
    """

    reach: Tensor  # float32 [channels], the largest input to be expected
    energy: Tensor  # [channels], the mean square of the inputs
    input_gain: Tensor  # [channels], of the inputs that are not 0
    output_gain: Tensor  # [outputs]


def noise_and_labels(module: ContractGenerator, count: int) -> tuple[Tensor, Tensor]:
    """Return the runtime's noise of so many images, [images, noise_dim], and labels, [images]."""
    noise = standard_normal(SEED, 0, count, len(module.noise_weight))
    return torch.from_numpy(noise), torch.arange(count) % len(module.label_table)


def measure_sensitivity(module: ContractGenerator) -> list[LayerSensitivity]:
    """Draw with a network and say what each layer behind the first gets.

    Args:
        module: in eval mode, on the CPU.
    """
    inputs, outputs, ink = _traced(module, *noise_and_labels(module, SENSED))
    gains = [torch.zeros(1)] * len(inputs + outputs)
    random = torch.Generator().manual_seed(SEED)
    for _ in range(PROBES):
        # A derivative in a direction of random signs has, squared, the sum of all pixels' as mean.
        signs = torch.randint(0, 2, ink.shape, generator=random) * 2.0 - 1
        slopes = torch.autograd.grad(
            (signs * ink * GREY_LEVELS).sum(), inputs + outputs, retain_graph=True
        )
        of_inputs = [slope * (each > 0) for slope, each in zip(slopes, inputs, strict=False)]
        for index, slope in enumerate([*of_inputs, *slopes[len(inputs) :]]):
            places = slope.square().flatten(2).sum(2) if slope.ndim > 2 else slope.square()
            gains[index] = gains[index] + places.mean(0) / PROBES
    return [
        LayerSensitivity(
            reach, each.detach().square().transpose(0, 1).flatten(1).mean(1), first, second
        )
        for reach, each, first, second in zip(
            _reaches(module), inputs, gains[: len(inputs)], gains[len(inputs) :], strict=True
        )
    ]


def _traced(
    module: ContractGenerator, noise: Tensor, label: Tensor
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return each layer's inputs, its outputs, and the image in 0 .. 1, to be derived by both."""
    state = module.hidden(noise, label)
    inputs, outputs = [], []
    for layer in module.rest:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            inputs.append(state)
            state = layer(state)
            outputs.append(state)
        else:
            state = layer(state)
    return inputs, outputs, state.sigmoid()


def _reaches(module: ContractGenerator) -> list[Tensor]:
    """Return how far the inputs of each layer's channels reach in BEYOND times as many images.

    Their tails are taken to fall off as an exponential does (Weissman 1978): to be so many times
    rarer takes so many times the same way.
    """
    noise, label = noise_and_labels(module, RANGED)
    tails: list[Tensor] = []  # [channels, TAIL] each
    with torch.no_grad():
        for images in torch.arange(RANGED).split(AT_A_TIME):
            inputs = _traced(module, noise[images], label[images])[0]
            here = [each.transpose(0, 1).flatten(1).topk(TAIL).values for each in inputs]
            tails = [
                torch.cat(both, 1).topk(TAIL).values
                for both in zip(tails or here, here, strict=True)
            ]
    return [tail[:, -1] + (tail.mean(1) - tail[:, -1]) * math.log(TAIL * BEYOND) for tail in tails]
