"""What every loss is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from cgan_training.settings import Block

MOST = 2**31 - 1


@dataclass(frozen=True)
class Loss(Block, ABC):
    """The game that the two networks play, in terms of the discriminator's logits.

    Every logit is float32 [batch]; every loss is a scalar, in the order of nats.
    """

    r1: float = 0.0  # weight of the gradient penalty on real images; 0 takes none
    r1_every: int = 8  # steps from one penalty to the next, which then counts as much more

    def __post_init__(self) -> None:
        self.require("r1", holds=0 <= self.r1 <= MOST, words=f"0 to {MOST}")
        self.require("r1_every", holds=1 <= self.r1_every <= MOST, words=f"1 to {MOST}")

    @abstractmethod
    def of_generator(self, on_fake: Tensor) -> Tensor:
        """Return what the generator makes small: it wants drawn images called real."""

    @abstractmethod
    def of_discriminator(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """Return what the discriminator makes small: it wants to tell them apart."""
