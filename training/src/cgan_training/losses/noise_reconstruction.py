"""Noise reconstruction: different noise should give different images."""

from torch import Tensor
from torch.nn.functional import mse_loss

from cgan_training.losses.auxiliary import AuxiliaryTerm, GeneratorInputs


class NoiseReconstructionTerm(AuxiliaryTerm):
    """Squared error of a prediction of the noise that an image was generated from.

    Noise that can be recovered from an image cannot be ignored by the generator (Chen et al. 2016,
    sec. 4, with the whole noise vector as the code). The weight decays to 0.
    """

    def generator_loss(self, prediction: Tensor, inputs: GeneratorInputs) -> Tensor:
        """Return the mean squared error."""
        return mse_loss(prediction, inputs.noise)

    def discriminator_loss(
        self, prediction: Tensor, real_label: Tensor, inputs: GeneratorInputs
    ) -> Tensor:
        """Return half the mean squared error on generated images."""
        return mse_loss(prediction[len(real_label) :], inputs.noise) / 2
