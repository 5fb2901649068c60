"""The networks: generators and discriminators, each built from the settings of a recipe."""

from cgan_training.networks.discriminator import Discriminator, DiscriminatorOutput
from cgan_training.networks.factory import build_discriminator, build_generator, parameter_count
from cgan_training.networks.generator import Generator
from cgan_training.networks.pixels import to_float, to_uint8

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
