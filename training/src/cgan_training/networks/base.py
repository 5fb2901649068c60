"""What every generator and every discriminator is, whatever its layers."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_training.recipe.settings import Block

MOST_UNITS = 2**20  # of a layer; torch asks for what no machine has long before


class GeneratorSettings(Block, ABC):
    """A kind of generator: says which layers it has."""

    has_pixel_biases: ClassVar[bool] = False  # whether the last layer has a bias for each pixel

    @abstractmethod
    def layers(self, inputs: int, height: int, width: int) -> nn.Sequential:
        """Return the layers from [noise; one-hot label] to the image before its tanh.

        The first is an nn.Linear: export turns its label columns into a lookup, widen() scales
        its noise columns.

        Args:
            inputs: length of noise and one-hot vector together; float32 [batch, inputs] comes in.
            height: of the image, in pixels.
            width: of the image, in pixels. height * width numbers an image go out, in any shape.

        Raises:
            RecipeError: this kind cannot draw images of that size.
        """


class DiscriminatorSettings(Block, ABC):
    """A kind of discriminator: builds it."""

    can_read: ClassVar[bool] = False  # whether it can be asked which label and noise it sees

    @abstractmethod
    def network(
        self, classes: int, height: int, width: int, *, reads: bool = False, noise_dim: int = 0
    ) -> "Discriminator":
        """Return the network.

        Args:
            classes: number of labels.
            height: of the image, in pixels.
            width: of the image, in pixels.
            reads: whether it also says which label it sees; only where it can.
            noise_dim: length of the noise that it also says an image was drawn from; likewise, and
                0 for none.

        Raises:
            RecipeError: this kind cannot judge images of that size.
        """


class Generator(nn.Module):
    """Draws an image of a label from noise.

    The label enters as a one-hot vector beside the noise (Mirza & Osindero 2014, section 3.2),
    which is what makes the GAN conditional.

    Args:
        settings: which layers.
        noise_dim: length of the noise vector.
        classes: number of labels.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Raises:
        RecipeError: this kind cannot draw images of that size.
    """

    def __init__(
        self, settings: GeneratorSettings, noise_dim: int, classes: int, height: int, width: int
    ) -> None:
        super().__init__()
        self.settings = settings
        self.noise_dim, self.classes, self.height, self.width = noise_dim, classes, height, width
        self.layers = settings.layers(noise_dim + classes, height, width)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Draw images.

        Args:
            noise: float32 [batch, noise_dim], standard normal.
            label: int64 [batch], 0 <= label < classes.

        Returns:
            float32 [batch, 1, height, width] in -1 (background) .. 1 (ink).
        """
        image = torch.tanh(self.layers(self.inputs(noise, label)))  # [batch, h*w]
        return image.view(-1, 1, self.height, self.width)  # [batch, 1, h, w]

    def inputs(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return what the layers take, float32 [batch, noise_dim + classes]."""
        one_hot = functional.one_hot(label, self.classes).to(noise.dtype)  # [batch, classes]
        return torch.cat([noise, one_hot], dim=1)

    def widen(self, scale: float) -> None:
        """Let it draw as if its noise had this standard deviation. Noise stays standard normal."""
        first = cast(nn.Linear, self.layers[0])
        with torch.no_grad():
            first.weight[:, : self.noise_dim].mul_(scale)


class DiscriminatorOutput(NamedTuple):
    """What a discriminator says of images."""

    logit: Tensor  # [batch], above 0 where the image looks real
    reading: Tensor | None = None  # [batch, classes], logits of the labels, where it reads them
    noise: Tensor | None = None  # [batch, noise_dim], what an image was drawn from, likewise


class Discriminator(nn.Module, ABC):
    """Tells real images of a label from drawn ones."""

    progress: float | Tensor = 0.0  # how much of the run is done, 0 .. 1, told before each step

    @abstractmethod
    def forward(self, image: Tensor, label: Tensor, sets: int = 1) -> DiscriminatorOutput:
        """Judge images.

        Args:
            image: float32 [batch, 1, height, width] in -1 .. 1.
            label: int64 [batch], 0 <= label < classes: what the image is to show.
            sets: how many sets of one length lie behind each other, such as real and drawn images.
                A discriminator that compares images does so within a set.
        """


def parameter_count(network: nn.Module) -> int:
    """Return how many numbers the network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def to_uint8(image: Tensor) -> Tensor:
    """Turn -1 .. 1 (float) into 0 .. 255 (uint8), rounding half to even; any shape."""
    return image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_float(image: Tensor) -> Tensor:
    """Turn 0 .. 255 (uint8) into -1 .. 1 (float32), the inverse of to_uint8; any shape."""
    return image.to(torch.float32).div(127.5).sub(1)
