"""Auxiliary terms: losses on a prediction that is made from the discriminator's features."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class GeneratorInputs(NamedTuple):
    """A batch of generator inputs."""

    noise: Tensor  # float32 [batch, noise_dim]
    label: Tensor  # int64 [batch]


class AuxiliaryTerm(nn.Module, ABC):
    """A term that both networks minimize beside the adversarial loss.

    A linear head, trained together with the discriminator, makes a prediction from its features.
    Each term's weight falls linearly to 0 over the run.

    Args:
        weight: of the term at the start of the run.
        feature_dim: length of the discriminator's feature vector.
        outputs: length of the prediction.
    """

    def __init__(self, weight: float, feature_dim: int, outputs: int) -> None:
        super().__init__()
        self.weight = weight
        self.head = nn.Linear(feature_dim, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Return predictions [batch, outputs] from features [batch, feature_dim]."""
        prediction: Tensor = self.head(features)
        return prediction

    @abstractmethod
    def generator_loss(
        self, prediction: Tensor, inputs: GeneratorInputs, progress: float | Tensor
    ) -> Tensor:
        """Return the term of the generator's loss.

        Args:
            prediction: float32 [batch, outputs], for generated images.
            inputs: the noise and labels that the images were generated from.
            progress: completed share of the run, 0..1.
        """

    @abstractmethod
    def discriminator_loss(
        self,
        prediction: Tensor,
        real_label: Tensor,
        inputs: GeneratorInputs,
        progress: float | Tensor,
    ) -> Tensor:
        """Return the term of the discriminator's loss.

        Args:
            prediction: float32 [2 * batch, outputs], for real images, then for generated ones.
            real_label: int64 [batch].
            inputs: the noise and labels that the generated images were generated from.
            progress: completed share of the run, 0..1.
        """
