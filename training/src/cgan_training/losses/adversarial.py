"""The adversarial losses, as functions of the discriminator's logits.

Every logit tensor is float32 [batch]; every loss is a scalar, the mean over the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus


class AdversarialLoss(NamedTuple):
    """What each of the two networks minimizes."""

    of_generator: Callable[[Tensor], Tensor]  # from the logits of generated images
    of_discriminator: Callable[[Tensor, Tensor], Tensor]  # from the logits of real and generated


def logistic_generator_loss(fake_logits: Tensor) -> Tensor:
    """Return the mean of -log D(fake), the non-saturating loss (Goodfellow et al. 2014, sec. 3).

    softplus(-x) is the cross-entropy of sigmoid(x) against 1, softplus(x) that against 0.
    """
    return softplus(-fake_logits).mean()


def logistic_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the mean of -log D(real) and -log(1 - D(fake)), in nats."""
    return (softplus(-real_logits).mean() + softplus(fake_logits).mean()) / 2


def hinge_generator_loss(fake_logits: Tensor) -> Tensor:
    """Return the negative mean logit of generated images (Lim & Ye 2017)."""
    return -fake_logits.mean()


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the mean distance of the logits from the margins 1 (real) and -1 (generated).

    Logits beyond their margin have no gradient.
    """
    return (relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()) / 2
