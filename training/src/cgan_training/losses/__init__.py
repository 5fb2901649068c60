"""The loss terms, one file each: adversarial losses, auxiliary terms and the gradient penalty."""

from cgan_training.losses.adversarial import AdversarialLoss
from cgan_training.losses.auxiliary import AuxiliaryTerm, GeneratorInputs
from cgan_training.losses.factory import adversarial_loss, auxiliary_terms
from cgan_training.losses.r1 import r1_penalty

__all__ = [
    "AdversarialLoss",
    "AuxiliaryTerm",
    "GeneratorInputs",
    "adversarial_loss",
    "auxiliary_terms",
    "r1_penalty",
]
