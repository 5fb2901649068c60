"""Differentiable augmentation, which keeps a discriminator from memorizing a small dataset.

Real and generated images are transformed in the same way before the discriminator sees them. It
cannot tell a generated image by the transformation, so the generator learns the images without it
(Karras et al. 2020a, sec. 2; Zhao et al. 2020).
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

SMALL_DATASET = 10_000  # images; larger datasets need no augmentation
MAX_STRETCH = 0.1  # relative change of each side
MAX_SKEW = 0.1  # of each off-diagonal entry, a rotation of up to 6 degrees
MAX_SHIFT = 0.1  # in half sides, 1.4 of 28 pixels


@lru_cache
def _max_change(device: torch.device) -> Tensor:
    """Return the largest change of each matrix entry, cached because a copy to a GPU is slow."""
    limits = [[MAX_STRETCH, MAX_SKEW, MAX_SHIFT], [MAX_SKEW, MAX_STRETCH, MAX_SHIFT]]
    return torch.tensor(limits, device=device)


def augment(images: Tensor, probability: float, random: torch.Generator) -> Tensor:
    """Rotate, stretch and shift images slightly, each by its own random amount.

    Args:
        images: float32 [n, 1, height, width] in -1 (background) .. 1. Gradients pass through.
        probability: that an image is changed at all, 0..1.
        random: on the images' device.

    Returns:
        float32 [n, 1, height, width].
    """
    count, device = len(images), images.device
    change = torch.rand(count, 2, 3, generator=random, device=device) * 2 - 1
    change = change * _max_change(device)
    chosen = torch.rand(count, 1, 1, generator=random, device=device) < probability
    theta = torch.eye(2, 3, device=device) + change * chosen  # [n, 2, 3]
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    # Pixels from outside the image become background, which must be 0 for grid_sample.
    return functional.grid_sample(images.float() + 1, grid, align_corners=False) - 1
