"""Auxiliary terms: losses on a prediction that is made from the discriminator's features."""

from abc import ABC, abstractmethod
from typing import NamedTuple, cast

from torch import Tensor, nn


class GeneratorInputs(NamedTuple):
    """A batch of generator inputs."""

    noise: Tensor  # float32 [batch, noise_dim]
    label: Tensor  # int64 [batch]


class AuxiliaryTerm(nn.Module, ABC):
    """A term that both networks minimize in addition to the adversarial loss.

    A linear head, trained together with the discriminator, makes a prediction from its features.

    Args:
        weight: weight of the term at progress 0; see run_progress().
        feature_dim: length of the discriminator's feature vector.
        outputs: length of the prediction.
    """

    def __init__(self, weight: float, feature_dim: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.head = weight, nn.Linear(feature_dim, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Return predictions [batch, outputs] from features [batch, feature_dim]."""
        return cast(Tensor, self.head(features))

    def weight_at(self, progress: float | Tensor) -> float | Tensor:
        """Return the weight, which decays linearly to 0 as progress goes from 0 to 1."""
        return self.weight * (1 - progress)

    @abstractmethod
    def generator_loss(self, prediction: Tensor, inputs: GeneratorInputs) -> Tensor:
        """Return the term of the generator's loss, before it is weighted.

        Args:
            prediction: float32 [batch, outputs], for generated images.
            inputs: the noise and labels that the images were generated from.
        """

    @abstractmethod
    def discriminator_loss(
        self, prediction: Tensor, real_label: Tensor, inputs: GeneratorInputs
    ) -> Tensor:
        """Return the term of the discriminator's loss, before it is weighted.

        Args:
            prediction: float32 [2 * batch, outputs], for real images, then for generated ones.
            real_label: int64 [batch].
            inputs: the noise and labels that the generated images were generated from.
        """
