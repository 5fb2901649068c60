"""The R1 gradient penalty, which keeps the discriminator smooth around real images."""

import torch
from torch import Tensor

from cgan_training.networks import Discriminator


def r1_penalty(
    discriminator: Discriminator, real: Tensor, label: Tensor, progress: float | Tensor = 0.0
) -> Tensor:
    """Return the R1 penalty, a scalar: half the mean squared norm of the logits' gradient.

    The gradient is with respect to the real images, and the mean is over the batch (Mescheder et
    al. 2018, equation 9). The penalty itself is differentiable. See
    Discriminator.forward() for the arguments.
    """
    image = real.detach().requires_grad_()
    logits = discriminator(image, label, progress=progress).logits.float()
    (gradient,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    return gradient.float().square().flatten(1).sum(1).mean() / 2
