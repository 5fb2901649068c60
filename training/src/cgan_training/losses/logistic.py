"""The original game."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from cgan_training.losses.base import Loss


@dataclass(frozen=True)
class LogisticLoss(Loss):
    """Binary cross-entropy, with the generator's non-saturating form (Goodfellow et al. 2014, 3).

    softplus(-x) is the cross-entropy of sigmoid(x) against 1, and softplus(x) that against 0.
    """

    kind: ClassVar[str] = "logistic"

    def of_generator(self, on_fake: Tensor) -> Tensor:
        """Return -log D(fake), mean."""
        return softplus(-on_fake).mean()

    def of_discriminator(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """Return the mean of -log D(real) and -log(1 - D(fake))."""
        return (softplus(-on_real).mean() + softplus(on_fake).mean()) / 2
