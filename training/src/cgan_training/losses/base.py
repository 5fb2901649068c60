"""What every loss is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from cgan_training.recipe.settings import Block

MOST = 2**31 - 1


@dataclass(frozen=True)
class Loss(Block, ABC):
    """The game that the two networks play, in terms of the discriminator's logits.

    Every logit is float32 [batch]; every loss is a scalar, in the order of nats.
    """

    r1: float = 0.0  # weight of the gradient penalty on real images; 0 takes none
    r1_every: int = 8  # steps from one penalty to the next, which then counts as much more
    classify: float = 0.0  # weight that reading images' labels begins with; 0 takes none
    read_noise: float = 0.0  # weight that reading drawn images' noise begins with; likewise

    def __post_init__(self) -> None:
        self.require("r1", holds=0 <= self.r1 <= MOST, words=f"0 to {MOST}")
        self.require("r1_every", holds=1 <= self.r1_every <= MOST, words=f"1 to {MOST}")
        for key in ("classify", "read_noise"):
            self.require(key, holds=0 <= getattr(self, key) <= MOST, words=f"0 to {MOST}")

    @abstractmethod
    def of_generator(self, on_fake: Tensor) -> Tensor:
        """Return what the generator makes small: it wants drawn images called real."""

    @abstractmethod
    def of_discriminator(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """Return what the discriminator makes small: it wants to tell them apart."""

    def of_reading(self, reading: Tensor, label: Tensor, progress: float | Tensor) -> Tensor:
        """Return what both make small beside the game: images are to show their labels.

        The discriminator learns to read real images, the generator to draw so that it reads the
        label asked for (Odena et al. 2017, section 4). That favours images which are easily read,
        so the weight falls to nothing by the end of the run.

        Args:
            reading: float32 [batch, classes], logits.
            label: int64 [batch].
            progress: how much of the run is done, 0 .. 1.
        """
        return self.classify * (1 - progress) * cross_entropy(reading, label)

    def of_noise(self, reading: Tensor, noise: Tensor, progress: float | Tensor) -> Tensor:
        """Return what both make small beside the game: drawn images are to show their noise.

        What is read off an image cannot be the same for two of them, so other noise is to be
        another image (Chen et al. 2016, section 4, with all of the noise for a code). The weight
        falls to nothing by the end of the run.

        Args:
            reading: float32 [batch, noise_dim].
            noise: float32 [batch, noise_dim], what the images were drawn from.
            progress: how much of the run is done, 0 .. 1.
        """
        return self.read_noise * (1 - progress) * mse_loss(reading, noise)
