"""Differentiable augmentation, which keeps a discriminator from memorizing a small dataset.

Real and generated images are transformed in the same way before the discriminator sees them. The
transformation does not reveal whether an image is generated, so the generator is trained to
generate untransformed images (Karras et al. 2020a, sec. 2; Zhao et al. 2020).
"""

import torch
from torch import Tensor
from torch.nn import functional

SMALL_DATASET = 10_000  # only datasets of fewer images are augmented
# Maximum change of each entry of the 2 x 3 transformation matrix: a stretch by 10 %, a rotation
# by about 6 degrees, or a shift by 5 % of a side, which is 1.4 of 28 pixels.
MAX_CHANGE = 0.1


def has_background(images: Tensor) -> bool:
    """Return whether most border pixels of images, uint8 [n, channels, h, w], are 0.

    Photos have no background: pixels from outside of them must not become black.
    """
    edges = (images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1])
    return torch.cat([edge.flatten() == 0 for edge in edges]).float().mean().item() > 0.5


def augment(
    images: Tensor, probability: float, rng: torch.Generator, *, background: bool = True
) -> Tensor:
    """Return the images stretched, rotated and shifted slightly, each by its own random amount.

    Args:
        images: float32 [n, channels, height, width] in -1 .. 1. Gradients pass through.
        probability: probability that an image is changed, 0..1. If 0, the rng is not used.
        rng: random number generator on the images' device.
        background: whether pixels from outside the image become -1, the background. Otherwise they
            mirror the image.
    """
    if not probability:
        return images
    count, device = len(images), images.device
    change = torch.rand(count, 2, 3, generator=rng, device=device) * 2 - 1
    chosen = torch.rand(count, 1, 1, generator=rng, device=device) < probability
    theta = torch.eye(2, 3, device=device) + change * MAX_CHANGE * chosen  # [n, 2, 3]
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    # The background must be 0 for grid_sample.
    padding = "zeros" if background else "reflection"
    shifted = images.float() + 1
    return functional.grid_sample(shifted, grid, padding_mode=padding, align_corners=False) - 1
