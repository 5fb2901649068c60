"""Differentiable augmentation: a small data set is seen from many angles, and not learnt by heart.

Real and drawn images are moved alike before the discriminator sees them, so it cannot tell a drawn
image by its being moved, and the generator learns the images as they are (Karras et al. 2020a,
section 2; Zhao et al. 2020).
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

SMALL_SET = 10_000  # images; data sets of so many or more need no augmentation
STRETCH = 0.1  # relative change of each side, at most
SKEW = 0.1  # of each off-diagonal entry, so up to 6 degrees of rotation
SHIFT = 0.1  # in half sides, so 1.4 of 28 pixels


@lru_cache
def _most(device: torch.device) -> Tensor:
    """Return the greatest change of each entry; made once, since a copy to a GPU is waited for."""
    return torch.tensor([[STRETCH, SKEW, SHIFT], [SKEW, STRETCH, SHIFT]], device=device)


def moved(images: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Turn, stretch and shift a share of the images, each by its own small amount.

    Args:
        images: float32 [n, 1, height, width] in -1 (background) .. 1; gradients pass through.
        share: of the images, 0 .. 1; the others stay as they are.
        random: on the images' device.

    Returns:
        float32 [n, 1, height, width].
    """
    count, device = len(images), images.device
    change = (torch.rand(count, 2, 3, generator=random, device=device) * 2 - 1) * _most(device)
    chosen = torch.rand(count, 1, 1, generator=random, device=device) < share
    theta = torch.eye(2, 3, device=device) + change * chosen  # [n, 2, 3]
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    # What comes in from outside the frame is background, which grid_sample takes for 0.
    return functional.grid_sample(images.float() + 1, grid, align_corners=False) - 1
