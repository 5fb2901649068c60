"""The interface of every discriminator."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class DiscriminatorOutput(NamedTuple):
    """The output of a discriminator for a batch of images."""

    logits: Tensor  # [batch]; positive where the image looks real
    features: Tensor | None  # [batch, feature_dim], the input of auxiliary loss terms


class Discriminator(nn.Module, ABC):
    """Distinguish real images of a label from generated images."""

    feature_dim: int = 0  # length of the feature vector; 0 if there are no features

    @abstractmethod
    def forward(
        self, image: Tensor, label: Tensor, groups: int = 1, progress: float | Tensor = 0.0
    ) -> DiscriminatorOutput:
        """Return the logits and features of images.

        Args:
            image: float32 [batch, channels, height, width] in -1..1.
            label: int64 [batch], 0 <= label < classes: the class that each image should show.
            groups: number of groups of equal size in the batch, such as real and generated images.
                Minibatch statistics are computed within each group.
            progress: progress of the schedules, 0..1; see run_progress().
        """
