"""Select the loss terms that a recipe asks for."""

from cgan_training.losses.adversarial import (
    AdversarialLoss,
    hinge_discriminator_loss,
    hinge_generator_loss,
    logistic_discriminator_loss,
    logistic_generator_loss,
)
from cgan_training.losses.auxiliary import AuxiliaryTerm
from cgan_training.losses.classification import ClassificationTerm
from cgan_training.losses.noise_reconstruction import NoiseReconstructionTerm
from cgan_training.recipe import HingeLoss, LossSettings


def adversarial_loss(settings: LossSettings) -> AdversarialLoss:
    """Return the adversarial loss of a recipe."""
    if isinstance(settings, HingeLoss):
        return AdversarialLoss(hinge_generator_loss, hinge_discriminator_loss)
    return AdversarialLoss(logistic_generator_loss, logistic_discriminator_loss)


def auxiliary_terms(
    settings: LossSettings, feature_dim: int, classes: int, noise_dim: int
) -> list[AuxiliaryTerm]:
    """Return the auxiliary terms whose weight in a recipe is above 0.

    Args:
        settings: the recipe's weights.
        feature_dim: length of the discriminator's feature vector.
        classes: number of labels.
        noise_dim: length of the noise vector.
    """
    candidates: list[tuple[type[AuxiliaryTerm], float, int]] = [
        (ClassificationTerm, settings.classification_weight, classes),
        (NoiseReconstructionTerm, settings.noise_reconstruction_weight, noise_dim),
    ]
    return [
        term(weight, feature_dim, outputs) for term, weight, outputs in candidates if weight > 0
    ]
