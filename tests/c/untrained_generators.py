"""Generators without training, whose images are not flat."""

import torch
from torch import nn

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.engine.batch_norm import calibrate_batch_norm
from cgan_training.networks import Generator, build_generator
from cgan_training.recipe import GeneratorSettings


def untrained_generator(
    settings: GeneratorSettings,
    noise_dim: int,
    classes: int,
    image_shape: ImageShape,
    contrast: float = 1,
) -> Generator:
    """Return a generator in eval mode, the same at every call.

    Args:
        settings, noise_dim, classes, image_shape: of build_generator().
        contrast: factor of the weights of the last layer.
    """
    torch.manual_seed(0)
    generator = build_generator(settings, noise_dim, classes, image_shape)
    assert isinstance(generator, Generator)
    calibrate_batch_norm(generator, seed=1)
    layers = [each for each in generator.modules() if isinstance(each, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        layers[-1].weight *= contrast
    return generator.eval()
