"""Auxiliary classification: generated images should be recognized as their label."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from cgan_training.losses.auxiliary import AuxiliaryTerm, GeneratorInputs


class ClassificationTerm(AuxiliaryTerm):
    """Cross-entropy of a label prediction (Odena et al. 2017, sec. 4).

    The discriminator learns to classify real images, and the generator to make images that are
    classified as the requested label. This favors images that are easy to classify, so the weight
    falls to 0.
    """

    def generator_loss(
        self, prediction: Tensor, inputs: GeneratorInputs, progress: float | Tensor
    ) -> Tensor:
        """Return the weighted cross-entropy of generated images against the requested labels."""
        return self.weight * (1 - progress) * cross_entropy(prediction, inputs.label)

    def discriminator_loss(
        self,
        prediction: Tensor,
        real_label: Tensor,
        inputs: GeneratorInputs,
        progress: float | Tensor,
    ) -> Tensor:
        """Return half the weighted cross-entropy of real images against their labels."""
        del inputs
        real = prediction[: len(real_label)]
        return self.weight * (1 - progress) * cross_entropy(real, real_label) / 2
