"""Auxiliary classification: generated images should be recognized as their label."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from cgan_training.losses.auxiliary import AuxiliaryTerm, GeneratorInputs


class ClassificationTerm(AuxiliaryTerm):
    """Cross-entropy of a label prediction (Odena et al. 2017, sec. 4).

    The discriminator is trained to classify real images, and the generator to make images that are
    classified as the requested label. This favors images that are easy to classify, so the weight
    decays to 0.
    """

    def generator_loss(self, prediction: Tensor, inputs: GeneratorInputs) -> Tensor:
        """Return the cross-entropy of generated images against the requested labels."""
        return cross_entropy(prediction, inputs.label)

    def discriminator_loss(
        self, prediction: Tensor, real_label: Tensor, inputs: GeneratorInputs
    ) -> Tensor:
        """Return half the cross-entropy of real images against their labels."""
        del inputs
        return cross_entropy(prediction[: len(real_label)], real_label) / 2
