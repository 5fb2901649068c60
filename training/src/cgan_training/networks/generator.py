"""The generator, which turns noise and a label into an image."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.recipe import GeneratorSettings


class Generator(nn.Module):
    """Generate an image of a given class from noise.

    The label enters as a one-hot vector beside the noise (Mirza & Osindero 2014, sec. 3.2). This
    makes the GAN conditional. Without settings.conditional, the input is the noise only.

    Args:
        layers: map [noise; one-hot label], float32 [batch, noise_dim + classes], to the pixels
            before tanh. Their output has channels * height * width numbers per image, in any shape.
            The first layer is an nn.Linear: the exporter turns its label columns into a lookup
            table. A CustomGenerator has the user's network as its only layer.
        settings: the settings that the layers were built from; a model file stores them.
        noise_dim: length of the noise vector.
        classes: number of labels.
        image_shape: channels, height and width of an image.
    """

    def __init__(
        self,
        layers: nn.Sequential,
        settings: GeneratorSettings,
        noise_dim: int,
        classes: int,
        image_shape: ImageShape,
    ) -> None:
        super().__init__()
        self.layers, self.settings = layers, settings
        self.noise_dim, self.classes, self.image_shape = noise_dim, classes, image_shape

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Generate images.

        Args:
            noise: float32 [batch, noise_dim], standard normal.
            label: int64 [batch], 0 <= label < classes.

        Returns:
            float32 [batch, channels, height, width] in -1 .. 1.
        """
        image = torch.tanh(self.layers(self.inputs(noise, label)))
        return image.view(-1, *self.image_shape)

    def inputs(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return the input of the layers: [noise; one-hot label], or the noise only."""
        if not self.settings.conditional:
            return noise
        one_hot = functional.one_hot(label, self.classes).to(noise.dtype)  # [batch, classes]
        return torch.cat([noise, one_hot], dim=1)

    def scale_noise(self, std: float) -> None:
        """Scale the noise by `std`: multiply its weights in the first layer."""
        first = cast(nn.Linear, self.layers[0])
        with torch.no_grad():
            first.weight[:, : self.noise_dim].mul_(std)


def to_uint8(image: Tensor) -> Tensor:
    """Convert float -1..1 to uint8 0..255, rounding half to even, for any shape."""
    return image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_float(image: Tensor) -> Tensor:
    """Convert uint8 0..255 to float32 -1..1, for any shape."""
    return image.to(torch.float32).div(127.5).sub(1)
