"""Build a network from the settings of a recipe."""

from torch import nn

from cgan_training.networks.convolutional import (
    ConvolutionalDiscriminatorNetwork,
    convolutional_generator_layers,
)
from cgan_training.networks.discriminator import Discriminator
from cgan_training.networks.generator import Generator
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


def build_generator(
    settings: GeneratorSettings, noise_dim: int, classes: int, height: int, width: int
) -> Generator:
    """Build an untrained generator.

    Args:
        settings: kind and sizes of the layers.
        noise_dim: length of the noise vector.
        classes: number of labels.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Raises:
        RecipeError: this kind of generator does not support the image size.
    """
    layers: nn.Sequential
    match settings:
        case PerceptronGenerator():
            layers = perceptron_generator_layers(settings, noise_dim + classes, height, width)
        case ConvolutionalGenerator():
            layers = convolutional_generator_layers(settings, noise_dim + classes, height, width)
        case _:
            raise TypeError(f"unknown generator settings {type(settings).__name__}")
    return Generator(layers, settings, noise_dim, classes, height, width)


def build_discriminator(
    settings: DiscriminatorSettings, classes: int, height: int, width: int
) -> Discriminator:
    """Build an untrained discriminator; see build_generator() for arguments and errors."""
    match settings:
        case PerceptronDiscriminator():
            return PerceptronDiscriminatorNetwork(settings, classes, height, width)
        case ConvolutionalDiscriminator():
            return ConvolutionalDiscriminatorNetwork(settings, classes, height, width)
    raise TypeError(f"unknown discriminator settings {type(settings).__name__}")


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable numbers in a network."""
    return sum(parameter.numel() for parameter in network.parameters())
