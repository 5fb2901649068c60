"""Networks: a file a kind, each with its settings; here is the list of them."""

from cgan_training.networks.base import (
    Discriminator,
    DiscriminatorOutput,
    DiscriminatorSettings,
    Generator,
    GeneratorSettings,
    parameter_count,
    to_float,
    to_uint8,
)
from cgan_training.networks.convolutional import (
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
)
from cgan_training.networks.perceptron import PerceptronDiscriminator, PerceptronGenerator

# The kinds that a recipe's tables [generator] and [discriminator] may name.
GENERATORS: dict[str, type[GeneratorSettings]] = {
    settings.kind: settings for settings in (PerceptronGenerator, ConvolutionalGenerator)
}
DISCRIMINATORS: dict[str, type[DiscriminatorSettings]] = {
    settings.kind: settings for settings in (PerceptronDiscriminator, ConvolutionalDiscriminator)
}

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "ConvolutionalDiscriminator",
    "ConvolutionalGenerator",
    "Discriminator",
    "DiscriminatorOutput",
    "DiscriminatorSettings",
    "Generator",
    "GeneratorSettings",
    "PerceptronDiscriminator",
    "PerceptronGenerator",
    "parameter_count",
    "to_float",
    "to_uint8",
]
