"""Perceptrons: the networks of Mirza & Osindero 2014, section 4.1, at any width."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_training.networks.base import (
    MOST_UNITS,
    Discriminator,
    DiscriminatorOutput,
    DiscriminatorSettings,
    GeneratorSettings,
)
from cgan_training.networks.linear import Linear

MOST_LAYERS = 100  # hidden ones
SOME_LAYERS = f"one to {MOST_LAYERS} layers of 1 to {MOST_UNITS} units"


@dataclass(frozen=True)
class PerceptronGenerator(GeneratorSettings):
    """Linear layers with ReLU between them."""

    kind: ClassVar[str] = "perceptron"
    has_pixel_biases: ClassVar[bool] = True
    hidden: tuple[int, ...]  # units of the hidden layers, from the noise on
    batch_norm: bool = False  # before each ReLU (Radford et al. 2015, section 3)

    def __post_init__(self) -> None:
        self.require("hidden", holds=_some_layers(self.hidden), words=SOME_LAYERS)

    def layers(self, inputs: int, height: int, width: int) -> nn.Sequential:
        """Return the layers; see GeneratorSettings.layers()."""
        norm = nn.BatchNorm1d if self.batch_norm else None
        return _perceptron([inputs, *self.hidden, height * width], nn.ReLU, norm)


@dataclass(frozen=True)
class PerceptronDiscriminator(DiscriminatorSettings):
    """Linear layers with leaky ReLU between them, on [image; one-hot label]."""

    kind: ClassVar[str] = "perceptron"
    hidden: tuple[int, ...]  # units of the hidden layers, from the image on
    leaky_slope: float  # of the leaky ReLU, 0 <= slope < 1

    def __post_init__(self) -> None:
        self.require("hidden", holds=_some_layers(self.hidden), words=SOME_LAYERS)
        self.require("leaky_slope", holds=0 <= self.leaky_slope < 1, words="0 or more and below 1")

    def network(
        self, classes: int, height: int, width: int, *, reads: bool = False, noise_dim: int = 0
    ) -> Discriminator:
        """Return the network; see DiscriminatorSettings.network()."""
        del reads, noise_dim
        return _Discriminator(self, classes, height, width)


class _Discriminator(Discriminator):
    def __init__(
        self, settings: PerceptronDiscriminator, classes: int, height: int, width: int
    ) -> None:
        super().__init__()
        self.classes = classes
        activation = partial(nn.LeakyReLU, settings.leaky_slope)
        self.layers = _perceptron([height * width + classes, *settings.hidden, 1], activation)

    def forward(self, image: Tensor, label: Tensor, sets: int = 1) -> DiscriminatorOutput:
        """Judge images; see Discriminator."""
        del sets
        one_hot = functional.one_hot(label, self.classes).to(image.dtype)  # [batch, classes]
        logit: Tensor = self.layers(torch.cat([image.flatten(1), one_hot], dim=1))  # [batch, 1]
        return DiscriminatorOutput(logit.squeeze(1))


def _some_layers(hidden: Sequence[int]) -> bool:
    return 1 <= len(hidden) <= MOST_LAYERS and 1 <= min(hidden) <= max(hidden) <= MOST_UNITS


def _perceptron(
    units: Sequence[int],
    activation: Callable[[], nn.Module],
    norm: Callable[[int], nn.Module] | None = None,
) -> nn.Sequential:
    """Return linear layers of these widths with norm and activation between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(units):
        if layers:
            layers += [norm(inputs), activation()] if norm else [activation()]
        layers.append(Linear(inputs, outputs))
    return nn.Sequential(*layers)
