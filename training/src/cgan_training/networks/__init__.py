"""Generators and discriminators, which are built from the settings of a recipe."""

from collections.abc import Callable

from torch import nn

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.networks import convolutional, perceptron, pyramid
from cgan_training.networks.convolutional import Crop
from cgan_training.networks.custom import CustomDiscriminator, CustomGenerator
from cgan_training.networks.discriminator import Discriminator, DiscriminatorOutput
from cgan_training.networks.generator import Generator, to_float, to_uint8
from cgan_training.recipe import (
    ConvolutionalDiscriminatorSettings,
    ConvolutionalGeneratorSettings,
    CustomDiscriminatorSettings,
    CustomGeneratorSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    PerceptronDiscriminatorSettings,
    PerceptronGeneratorSettings,
    PyramidDiscriminatorSettings,
)

__all__ = [
    "Crop",
    "Discriminator",
    "DiscriminatorOutput",
    "Generator",
    "build_discriminator",
    "build_generator",
    "parameter_count",
    "to_float",
    "to_uint8",
]
_GENERATOR_LAYERS: dict[type[GeneratorSettings], Callable[..., nn.Sequential]] = {
    PerceptronGeneratorSettings: perceptron.generator_layers,
    ConvolutionalGeneratorSettings: convolutional.generator_layers,
}
_DISCRIMINATORS: dict[type[DiscriminatorSettings], Callable[..., Discriminator]] = {
    PerceptronDiscriminatorSettings: perceptron.PerceptronDiscriminator,
    ConvolutionalDiscriminatorSettings: convolutional.ConvolutionalDiscriminator,
    PyramidDiscriminatorSettings: pyramid.PyramidDiscriminator,
    CustomDiscriminatorSettings: CustomDiscriminator,
}


def build_generator(
    settings: GeneratorSettings, noise_dim: int, classes: int, image_shape: ImageShape
) -> Generator:
    """Build an untrained generator; see Generator for the arguments.

    Raises:
        UserCodeError: a generator of the user cannot be imported or built, or does not work.
    """
    if isinstance(settings, CustomGeneratorSettings):
        return CustomGenerator(settings, noise_dim, classes, image_shape)
    inputs = noise_dim + classes if settings.conditional else noise_dim
    layers = _GENERATOR_LAYERS[type(settings)](settings, inputs, image_shape)
    return Generator(layers, settings, noise_dim, classes, image_shape)


def build_discriminator(
    settings: DiscriminatorSettings, classes: int, image_shape: ImageShape
) -> Discriminator:
    """Build an untrained discriminator for images of a shape.

    Raises:
        UserCodeError: a discriminator of the user cannot be imported or built, or does not work.
    """
    return _DISCRIMINATORS[type(settings)](settings, classes, image_shape)


def parameter_count(network: nn.Module) -> int:
    """Return the number of parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())
