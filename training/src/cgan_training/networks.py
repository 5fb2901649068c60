"""The generator and the discriminator of Mirza & Osindero 2014, section 4.1.

Both take the label as a one-hot vector beside their other input (section 3.2), which is what
makes the GAN conditional.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_training.linear import Linear


class Generator(nn.Module):
    """Draws an image of a label from noise.

    Args:
        noise_dim: length of the noise vector.
        classes: number of labels.
        hidden: units of the hidden layers, in order.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """

    def __init__(
        self, noise_dim: int, classes: int, hidden: Sequence[int], height: int, width: int
    ) -> None:
        super().__init__()
        self.noise_dim, self.classes, self.height, self.width = noise_dim, classes, height, width
        self.layers = _perceptron([noise_dim + classes, *hidden, height * width], nn.ReLU())

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Draw images.

        Args:
            noise: float32 [batch, noise_dim], standard normal.
            label: int64 [batch], 0 <= label < classes.

        Returns:
            float32 [batch, 1, height, width] in -1 (background) .. 1 (ink).
        """
        one_hot = functional.one_hot(label, self.classes).to(noise.dtype)  # [batch, classes]
        image = torch.tanh(self.layers(torch.cat([noise, one_hot], dim=1)))  # [batch, h*w]
        return image.view(-1, 1, self.height, self.width)  # [batch, 1, h, w]


class Discriminator(nn.Module):
    """Tells real images of a label from drawn ones.

    Args:
        classes: number of labels.
        hidden: units of the hidden layers, in order.
        leaky_slope: of the leaky ReLU between the layers.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """

    def __init__(
        self, classes: int, hidden: Sequence[int], leaky_slope: float, height: int, width: int
    ) -> None:
        super().__init__()
        self.classes = classes
        self.layers = _perceptron([height * width + classes, *hidden, 1], nn.LeakyReLU(leaky_slope))

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Judge images.

        Args:
            image: float32 [batch, 1, height, width] in -1 .. 1.
            label: int64 [batch], 0 <= label < classes.

        Returns:
            float32 [batch], logits: above 0 where the image looks real.
        """
        one_hot = functional.one_hot(label, self.classes).to(image.dtype)  # [batch, classes]
        logit: Tensor = self.layers(torch.cat([image.flatten(1), one_hot], dim=1))  # [batch, 1]
        return logit.squeeze(1)  # [batch]


def _perceptron(units: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """Return linear layers of these widths with the activation between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(units):
        layers += [Linear(inputs, outputs), activation]
    return nn.Sequential(*layers[:-1])


def parameter_count(network: nn.Module) -> int:
    """Return how many numbers the network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def to_uint8(image: Tensor) -> Tensor:
    """Turn -1 .. 1 (float) into 0 .. 255 (uint8), rounding half to even; any shape."""
    return image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_float(image: Tensor) -> Tensor:
    """Turn 0 .. 255 (uint8) into -1 .. 1 (float32), the inverse of to_uint8; any shape."""
    return image.to(torch.float32).div(127.5).sub(1)
