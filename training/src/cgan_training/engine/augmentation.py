"""Differentiable augmentation, which keeps a discriminator from memorizing a small dataset.

Real and generated images are transformed in the same way before the discriminator sees them. The
transformation does not reveal whether an image is generated, so the generator learns to generate
untransformed images (Karras et al. 2020a, sec. 2; Zhao et al. 2020).
"""

import torch
from torch import Tensor
from torch.nn import functional

SMALL_DATASET = 10_000  # images; larger datasets need no augmentation
# Maximum change of each entry of the 2 x 3 transformation matrix: 10 % of a side, a rotation of
# about 6 degrees, or a shift of 10 % of half a side, which is 1.4 of 28 pixels.
MAX_CHANGE = 0.1


def augment(images: Tensor, probability: float, rng: torch.Generator) -> Tensor:
    """Return the images stretched, rotated and shifted slightly, each by its own random amount.

    Args:
        images: float32 [n, 1, height, width] in -1 (background) .. 1. Gradients pass through.
        probability: that an image is changed at all, 0..1. At 0 no random numbers are generated.
        rng: on the images' device.
    """
    if not probability:
        return images
    count, device = len(images), images.device
    change = torch.rand(count, 2, 3, generator=rng, device=device) * 2 - 1
    chosen = torch.rand(count, 1, 1, generator=rng, device=device) < probability
    theta = torch.eye(2, 3, device=device) + change * MAX_CHANGE * chosen  # [n, 2, 3]
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    # Pixels from outside the image become background, which must be 0 for grid_sample.
    return functional.grid_sample(images.float() + 1, grid, align_corners=False) - 1
