"""Replace the final tanh with a sigmoid, whose output needs no scaling.

Matches a network whose last layer with weights is nn.Linear or nn.Conv2d, followed only by changes
of shape. A pixel is 255 * (tanh(x) + 1) / 2, which equals 255 * sigmoid(2 x). So the weights
and the bias are doubled, and quantizing the sigmoid with the scale 1/255 gives the pixels.
"""

import torch
from torch import nn

from cgan_training.networks import Crop

SHAPES = (nn.Unflatten, nn.Flatten, nn.PixelShuffle, Crop)


def double_last_layer(layers: nn.Sequential) -> bool:
    """Double the last layer's weights and bias in place; return False if it is of another type."""
    computing = [layer for layer in layers if not isinstance(layer, SHAPES)]
    if not computing or not isinstance(computing[-1], nn.Linear | nn.Conv2d):
        return False
    with torch.no_grad():
        for parameter in computing[-1].parameters():
            parameter.mul_(2)  # exact
    return True
