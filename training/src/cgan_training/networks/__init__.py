"""The networks: generators and discriminators, each built from the settings of a recipe."""

from torch import nn

from cgan_training.networks.convolutional import (
    ConvolutionalDiscriminatorNetwork,
    convolutional_generator_layers,
)
from cgan_training.networks.discriminator import Discriminator, DiscriminatorOutput
from cgan_training.networks.generator import Generator, to_float, to_uint8
from cgan_training.networks.perceptron import (
    PerceptronDiscriminatorNetwork,
    perceptron_generator_layers,
)
from cgan_training.recipe import (
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
    DiscriminatorSettings,
    GeneratorSettings,
    PerceptronDiscriminator,
    PerceptronGenerator,
)

__all__ = [
    "Discriminator",
    "DiscriminatorOutput",
    "Generator",
    "build_discriminator",
    "build_generator",
    "parameter_count",
    "to_float",
    "to_uint8",
]


def build_generator(
    settings: GeneratorSettings, noise_dim: int, classes: int, height: int, width: int
) -> Generator:
    """Build an untrained generator; the arguments are those of Generator.

    Raises:
        RecipeError: this kind of generator does not support the image size.
    """
    inputs = noise_dim + classes
    if isinstance(settings, PerceptronGenerator):
        layers = perceptron_generator_layers(settings, inputs, height, width)
    elif isinstance(settings, ConvolutionalGenerator):
        layers = convolutional_generator_layers(settings, inputs, height, width)
    else:
        raise TypeError(f"unknown generator settings {type(settings).__name__}")
    return Generator(layers, settings, noise_dim, classes, height, width)


def build_discriminator(
    settings: DiscriminatorSettings, classes: int, height: int, width: int
) -> Discriminator:
    """Build an untrained discriminator.

    Raises:
        RecipeError: this kind of discriminator does not support the image size.
    """
    if isinstance(settings, PerceptronDiscriminator):
        return PerceptronDiscriminatorNetwork(settings, classes, height, width)
    if isinstance(settings, ConvolutionalDiscriminator):
        return ConvolutionalDiscriminatorNetwork(settings, classes, height, width)
    raise TypeError(f"unknown discriminator settings {type(settings).__name__}")


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable numbers in a network."""
    return sum(parameter.numel() for parameter in network.parameters())
