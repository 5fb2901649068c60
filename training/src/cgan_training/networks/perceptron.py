"""Multilayer perceptrons: the networks of Mirza & Osindero 2014, sec. 4.1, at any width."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.networks.discriminator import Discriminator, DiscriminatorOutput
from cgan_training.recipe import PerceptronDiscriminatorSettings, PerceptronGeneratorSettings


def generator_layers(
    settings: PerceptronGeneratorSettings, inputs: int, image_shape: ImageShape
) -> nn.Sequential:
    """Return the layers of a generator; see Generator for their input and output."""
    norm = nn.BatchNorm1d if settings.batch_norm else None
    return _perceptron([inputs, *settings.hidden, math.prod(image_shape)], nn.ReLU, norm)


class PerceptronDiscriminator(Discriminator):
    """A perceptron on [image; one-hot label], or on the image alone, with one logit at the end."""

    def __init__(
        self, settings: PerceptronDiscriminatorSettings, classes: int, image_shape: ImageShape
    ) -> None:
        super().__init__()
        self.classes = classes if settings.conditional else 0
        activation = partial(nn.LeakyReLU, settings.negative_slope)
        units = [math.prod(image_shape) + self.classes, *settings.hidden, 1]
        self.layers = _perceptron(units, activation)

    def forward(
        self, image: Tensor, label: Tensor, groups: int = 1, progress: float | Tensor = 0.0
    ) -> DiscriminatorOutput:
        """Return logits; see Discriminator."""
        del groups, progress
        inputs = image.flatten(1)
        if self.classes:
            one_hot = functional.one_hot(label, self.classes).to(image.dtype)  # [batch, classes]
            inputs = torch.cat([inputs, one_hot], dim=1)
        logits: Tensor = self.layers(inputs)  # [batch, 1]
        return DiscriminatorOutput(logits.squeeze(1), None)


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
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)
