"""Conversion between pixel values of 0..255 and the range -1..1 of the networks."""

import torch
from torch import Tensor


def to_uint8(image: Tensor) -> Tensor:
    """Convert float -1..1 to uint8 0..255, rounding half to even, for any shape."""
    return image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_float(image: Tensor) -> Tensor:
    """Convert uint8 0..255 to float32 -1..1, for any shape."""
    return image.to(torch.float32).div(127.5).sub(1)
