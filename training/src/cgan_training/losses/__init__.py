"""The loss terms: adversarial losses, auxiliary terms and the gradient penalty."""

from cgan_training.losses.adversarial import HINGE, LOGISTIC, AdversarialLoss
from cgan_training.losses.auxiliary import AuxiliaryTerm, GeneratorInputs
from cgan_training.losses.classification import ClassificationTerm
from cgan_training.losses.custom import import_loss
from cgan_training.losses.noise_reconstruction import NoiseReconstructionTerm
from cgan_training.losses.r1 import r1_penalty
from cgan_training.recipe import CustomLossSettings, HingeLossSettings, LossSettings

__all__ = ["AuxiliaryTerm", "GeneratorInputs", "adversarial_loss", "auxiliary_terms", "r1_penalty"]


def adversarial_loss(settings: LossSettings) -> AdversarialLoss:
    """Return the adversarial loss of a recipe.

    Raises:
        UserCodeError: a loss of the user cannot be imported, or does not work.
    """
    if isinstance(settings, CustomLossSettings):
        return import_loss(settings)
    return HINGE if isinstance(settings, HingeLossSettings) else LOGISTIC


def auxiliary_terms(
    settings: LossSettings, feature_dim: int, classes: int, noise_dim: int
) -> list[AuxiliaryTerm]:
    """Return the auxiliary terms whose weight in a recipe is above 0."""
    terms: list[AuxiliaryTerm] = []
    if weight := settings.classification_weight:
        terms.append(ClassificationTerm(weight, feature_dim, classes))
    if weight := settings.noise_reconstruction_weight:
        terms.append(NoiseReconstructionTerm(weight, feature_dim, noise_dim))
    return terms
