"""What every loss is."""

from abc import ABC, abstractmethod

from torch import Tensor

from cgan_training.settings import Block


class Loss(Block, ABC):
    """The game that the two networks play, in terms of the discriminator's logits.

    Every logit is float32 [batch]; every loss is a scalar, in the order of nats.
    """

    @abstractmethod
    def of_generator(self, on_fake: Tensor) -> Tensor:
        """Return what the generator makes small: it wants drawn images called real."""

    @abstractmethod
    def of_discriminator(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """Return what the discriminator makes small: it wants to tell them apart."""
