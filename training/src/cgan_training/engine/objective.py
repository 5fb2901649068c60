"""The losses of one training step, for both networks."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cgan_training.losses import (
    AuxiliaryTerm,
    GeneratorInputs,
    adversarial_loss,
    r1_penalty,
)
from cgan_training.networks import Discriminator
from cgan_training.recipe import LossSettings


class DiscriminatorWithTerms(nn.Module):
    """The discriminator and the heads of the auxiliary terms, which are trained together.

    Args:
        discriminator: the network.
        terms: the auxiliary terms, each with its head.
    """

    def __init__(self, discriminator: Discriminator, terms: Sequence[AuxiliaryTerm]) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.terms = nn.ModuleList(terms)

    def forward(
        self, image: Tensor, label: Tensor, groups: int = 1, progress: float | Tensor = 0.0
    ) -> tuple[Tensor, list[Tensor]]:
        """Return logits [batch] and the prediction of each term; see Discriminator."""
        logits, features = self.discriminator(image, label, groups, progress)
        return logits, [term(features) for term in self.terms]


class GeneratorLoss(NamedTuple):
    """Scalars."""

    total: Tensor
    adversarial: Tensor  # without auxiliary terms


class DiscriminatorLoss(NamedTuple):
    """Scalars, and the logits."""

    total: Tensor
    adversarial: Tensor  # without auxiliary terms and penalty
    logits: Tensor  # float32 [2 * batch], of real images, then of generated ones


class Objective:
    """Compute both networks' losses, including the forward passes (Mirza & Osindero 2014, eq. 2).

    Args:
        settings: weights of the terms.
        networks: the discriminator with the auxiliary terms.
        augment: changes images before the discriminator sees them.
        autocast: returns the context for forward passes in lower precision.
    """

    def __init__(
        self,
        settings: LossSettings,
        networks: DiscriminatorWithTerms,
        augment: Callable[[Tensor], Tensor],
        autocast: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._settings, self._networks = settings, networks
        self._augment, self._autocast = augment, autocast
        self._adversarial = adversarial_loss(settings)

    @property
    def _terms(self) -> list[AuxiliaryTerm]:
        return list(self._networks.terms)  # type: ignore[arg-type]

    def generator_loss(
        self, generator: nn.Module, inputs: GeneratorInputs, progress: float | Tensor
    ) -> GeneratorLoss:
        """Return the loss that the generator minimizes: the discriminator should be misled.

        Args:
            generator: the generator, possibly wrapped to synchronize its gradients.
            inputs: noise and labels of the batch.
            progress: completed share of the run, 0..1.
        """
        with self._autocast():
            fake = self._augment(generator(inputs.noise, inputs.label))  # [batch, 1, h, w]
            logits, predictions = self._networks(fake, inputs.label, progress=progress)
        total = adversarial = self._adversarial.of_generator(logits.float())
        for term, prediction in zip(self._terms, predictions, strict=True):
            total = total + term.generator_loss(prediction.float(), inputs, progress)
        return GeneratorLoss(total, adversarial)

    def discriminator_loss(
        self,
        discriminator: nn.Module,
        real: tuple[Tensor, Tensor],
        fake: Tensor,
        inputs: GeneratorInputs,
        progress: float | Tensor,
        *,
        apply_r1: bool,
    ) -> DiscriminatorLoss:
        """Return the loss that the discriminator minimizes: it should tell real from generated.

        Args:
            discriminator: the discriminator with terms, possibly wrapped to synchronize its
                gradients.
            real: images, float32 [batch, 1, height, width], and labels, int64 [batch].
            fake: generated images without gradients, shaped like the real ones.
            inputs: noise and labels that they were generated from.
            progress: completed share of the run, 0..1.
            apply_r1: whether this step includes the gradient penalty.
        """
        real_image, real_label = real
        batch = len(real_label)
        real_image, fake = self._augment(real_image), self._augment(fake)
        images = torch.cat([real_image, fake])
        labels = torch.cat([real_label, inputs.label])
        with self._autocast():
            logits, predictions = discriminator(images, labels, groups=2, progress=progress)
        logits = logits.float()  # [2 * batch]
        total = adversarial = self._adversarial.of_discriminator(*logits.split(batch))
        for term, prediction in zip(self._terms, predictions, strict=True):
            total = total + term.discriminator_loss(
                prediction.float(), real_label, inputs, progress
            )
        if apply_r1:
            with self._autocast():
                penalty = r1_penalty(self._networks.discriminator, real_image, real_label, progress)
            total = total + self._settings.r1_weight * self._settings.r1_interval * penalty
        return DiscriminatorLoss(total, adversarial, logits)
