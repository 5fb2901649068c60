"""The game with a margin."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from cgan_training.losses.base import Loss


@dataclass(frozen=True)
class HingeLoss(Loss):
    """The hinge loss of Lim & Ye 2017, usual with projection discriminators (Miyato & Koyama 2018).

    What the discriminator already tells apart by a margin of 1 no longer moves it.
    """

    kind: ClassVar[str] = "hinge"

    def of_generator(self, on_fake: Tensor) -> Tensor:
        """Return the mean logit of drawn images, negated."""
        return -on_fake.mean()

    def of_discriminator(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """Return the mean shortfall from logits of 1 on real images and -1 on drawn ones."""
        return (relu(1 - on_real).mean() + relu(1 + on_fake).mean()) / 2
