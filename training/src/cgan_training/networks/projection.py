"""Discriminators with a projection of the label (Miyato & Koyama 2018, sec. 3)."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from cgan_training.networks.discriminator import Discriminator, DiscriminatorOutput
from cgan_training.networks.minibatch_stddev import MinibatchStddev
from cgan_training.recipe import ProjectionDiscriminatorSettings

EMBEDDING_STD = 0.1  # initial standard deviation of the label embeddings


class ProjectionDiscriminator(Discriminator):
    """A discriminator whose logit is based on the dot product of image and label vectors.

    Args:
        layers: map the output of inputs() to features, [batch, settings.hidden].
        settings: the settings that the layers were built from.
        classes: number of labels.
    """

    def __init__(
        self, layers: nn.Sequential, settings: ProjectionDiscriminatorSettings, classes: int
    ) -> None:
        super().__init__()
        self.layers, self.feature_dim = channels_last(layers), settings.hidden
        self.head = nn.Linear(settings.hidden, 1)
        self.embedding = nn.Embedding(classes, settings.hidden)
        nn.init.normal_(self.embedding.weight, 0, EMBEDDING_STD)
        self.minibatch_stddev = MinibatchStddev(classes) if settings.minibatch_stddev else None
        self.minibatch_stddev_fades = settings.minibatch_stddev_fades

    @abstractmethod
    def inputs(self, image: Tensor) -> Tensor:
        """Return the input of the layers, for images [batch, channels, height, width]."""

    def forward(
        self, image: Tensor, label: Tensor, groups: int = 1, progress: float | Tensor = 0.0
    ) -> DiscriminatorOutput:
        """Return logits and features; see Discriminator."""
        features = self.layers(self.inputs(image))  # [batch, feature_dim]
        logits: Tensor = self.head(features).squeeze(1)  # [batch]
        logits = logits + (self.embedding(label) * features).sum(1)
        if self.minibatch_stddev is not None:
            scale = 1 - progress if self.minibatch_stddev_fades else 1.0
            logits = logits + scale * self.minibatch_stddev(features, label, groups)
        return DiscriminatorOutput(logits, features)


def channels_last(layers: nn.Sequential) -> nn.Sequential:
    """Store the weights as [out, h, w, in], the fastest order on CPUs and tensor cores."""
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
