"""The adversarial losses, as functions of the discriminator's logits.

Every logit tensor is float32 [batch]; every loss is a scalar, the mean over the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus


class AdversarialLoss(NamedTuple):
    """The losses that the two networks minimize."""

    generator_loss: Callable[[Tensor], Tensor]  # generated logits -> loss
    discriminator_loss: Callable[[Tensor, Tensor], Tensor]  # real and generated logits -> loss


# Binary cross-entropy, with the non-saturating generator loss (Goodfellow et al. 2014, sec. 3):
# softplus(-x) is the cross-entropy of sigmoid(x) against 1, and softplus(x) is the one against 0.
LOGISTIC = AdversarialLoss(
    lambda fake: softplus(-fake).mean(),
    lambda real, fake: (softplus(-real).mean() + softplus(fake).mean()) / 2,
)

# The discriminator's loss has no gradient for logits beyond the margins 1 (real) and -1 (generated)
# (Lim & Ye 2017).
HINGE = AdversarialLoss(
    lambda fake: -fake.mean(),
    lambda real, fake: (relu(1 - real).mean() + relu(1 + fake).mean()) / 2,
)
