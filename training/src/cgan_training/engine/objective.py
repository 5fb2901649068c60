"""The losses of one training step, for both networks."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from cgan_training.losses import AuxiliaryTerm, GeneratorInputs, adversarial_loss, r1_penalty
from cgan_training.networks import Discriminator
from cgan_training.recipe import LossSettings


class DiscriminatorWithTerms(nn.Module):
    """The discriminator and the auxiliary terms. The heads of the terms are trained with it."""

    def __init__(self, discriminator: Discriminator, terms: Sequence[AuxiliaryTerm]) -> None:
        super().__init__()
        self.discriminator, self.terms = discriminator, nn.ModuleList(terms)

    def forward(
        self, image: Tensor, label: Tensor, groups: int = 1, progress: float | Tensor = 0.0
    ) -> tuple[Tensor, list[Tensor]]:
        """Return float32 logits [batch] and each term's prediction; see Discriminator."""
        logits, features = self.discriminator(image, label, groups, progress)
        return logits.float(), [term(features).float() for term in self.terms]


class Loss(NamedTuple):
    """The loss of one network."""

    total: Tensor  # scalar that the network minimizes
    adversarial: Tensor  # scalar, the part of the total without auxiliary terms and penalty
    # float32. Generator: [batch], for the generated images. Discriminator: [2 * batch], for the
    # real images, then for the generated ones.
    logits: Tensor


class Objective:
    """Compute both networks' losses, including the forward passes (Mirza & Osindero 2014, eq. 2).

    The networks are passed to each call, because they may be wrapped in DistributedDataParallel.

    Args:
        settings: weights of the terms.
        discriminator: the discriminator and the auxiliary terms, without DistributedDataParallel.
        augment: function that changes images before the discriminator sees them.
        autocast: function that returns the context of forward passes in lower precision.
    """

    def __init__(
        self,
        settings: LossSettings,
        discriminator: DiscriminatorWithTerms,
        augment: Callable[[Tensor], Tensor],
        autocast: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._settings, self._discriminator = settings, discriminator
        self._augment, self._autocast = augment, autocast
        self._adversarial = adversarial_loss(settings)
        self._terms = cast(list[AuxiliaryTerm], list(discriminator.terms))

    def generator_loss(
        self, generator: nn.Module, inputs: GeneratorInputs, progress: float | Tensor
    ) -> Loss:
        """Return the generator's loss. It is low if the discriminator takes the images for real."""
        with self._autocast():
            image = self._augment(generator(*inputs))  # [batch, channels, height, width]
            logits, predictions = self._discriminator(image, inputs.label, progress=progress)
        total = adversarial = self._adversarial.generator_loss(logits)
        for term, prediction in zip(self._terms, predictions, strict=True):
            total = total + term.weight_at(progress) * term.generator_loss(prediction, inputs)
        return Loss(total, adversarial, logits)

    def discriminator_loss(
        self,
        discriminator: nn.Module,
        generator: nn.Module,
        real: tuple[Tensor, Tensor],
        inputs: GeneratorInputs,
        progress: float | Tensor,
        *,
        apply_r1: bool,
    ) -> Loss:
        """Return the discriminator's loss. It is low if it distinguishes real and generated images.

        Args:
            discriminator: the discriminator and the auxiliary terms, perhaps wrapped.
            generator: generates images for the discriminator. It gets no gradients.
            real: images, float32 [batch, channels, height, width], and labels, int64 [batch].
            inputs: noise and labels of the generated images; there are as many as real images.
            progress: progress of the schedules, 0..1; see run_progress().
            apply_r1: whether the loss includes the gradient penalty.
        """
        image, label = real
        with torch.no_grad(), self._autocast():
            fake = generator(*inputs).float()
        image, fake = self._augment(image), self._augment(fake)
        images, labels = torch.cat([image, fake]), torch.cat([label, inputs.label])
        with self._autocast():
            logits, predictions = discriminator(images, labels, groups=2, progress=progress)
        total = adversarial = self._adversarial.discriminator_loss(*logits.split(len(label)))
        for term, prediction in zip(self._terms, predictions, strict=True):
            loss = term.discriminator_loss(prediction, label, inputs)
            total = total + term.weight_at(progress) * loss
        if apply_r1:
            with self._autocast():
                penalty = r1_penalty(self._discriminator.discriminator, image, label, progress)
            total = total + self._settings.r1_weight * self._settings.r1_interval * penalty
        return Loss(total, adversarial, logits)
