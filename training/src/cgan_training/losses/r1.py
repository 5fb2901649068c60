"""The gradient penalty that keeps the game from running away."""

import torch
from torch import Tensor

from cgan_training.networks import Discriminator
from cgan_training.networks.linear import twice_differentiable


def r1_penalty(discriminator: Discriminator, real: Tensor, label: Tensor) -> Tensor:
    """Return half the mean squared gradient of the logits by real images: R1, a scalar.

    Mescheder et al. 2018, equation 9. Its own gradients reach the discriminator's weights.

    Args:
        discriminator: to be kept flat around real images.
        real: float32 [batch, 1, height, width].
        label: int64 [batch].
    """
    image = real.detach().requires_grad_()
    with twice_differentiable():
        logits = discriminator(image, label).logit.float()
    (gradient,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    return gradient.float().square().flatten(1).sum(1).mean() / 2
