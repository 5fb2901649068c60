"""Build the generator that model.pt holds, and generate the images of a sample sheet."""

import copy
from typing import cast

import torch
from torch import Tensor

from cgan_runtime.noise import standard_normal
from cgan_training.engine.batch_norm import calibrate_batch_norm
from cgan_training.engine.rare_pixels import suppress_rare_pixels
from cgan_training.engine.state import TrainingState
from cgan_training.networks import Generator, to_uint8
from cgan_training.recipe import Recipe

SAMPLE_ROWS = 10  # images per class on a sample sheet
SAMPLE_BATCH = 1000  # largest number of images of a sheet that are generated together


def finish_generator(state: TrainingState, recipe: Recipe, images: Tensor) -> Generator:
    """Return a copy of the generator as model.pt holds it, in eval mode.

    It has the EMA of the weights and calibrated batch norm statistics. The recipe's noise_std and
    rare_pixel_threshold are applied.

    Args:
        state: holds the generator and the EMA of its weights.
        recipe: the recipe of the training.
        images: the training images, uint8 [n, channels, height, width], on the generator's device.
    """
    source = state.generator if state.ema is None else state.ema.module
    generator = cast(Generator, copy.deepcopy(source).requires_grad_(False))
    # AveragedModel averages only parameters, so all buffers are copied from training. The buffers
    # of batch norm are then calibrated.
    for buffer, current in zip(generator.buffers(), state.generator.buffers(), strict=True):
        buffer.copy_(current)
    calibrate_batch_norm(generator, recipe.seed)
    if recipe.noise_std != 1:
        generator.scale_noise(recipe.noise_std)
    if threshold := recipe.rare_pixel_threshold:
        suppress_rare_pixels(generator, images, threshold, recipe.seed)
    return generator


def sample_sheet_images(generator: Generator, seed: int) -> Tensor:
    """Generate the images of a sample sheet.

    Image i has the label i % classes and the noise of index i of the seed. The command
    `cgan-run --seed SEED --count 10` generates the same images from the exported file.

    Returns:
        uint8 [10 * classes, channels, height, width], on the generator's device.
    """
    classes, device = generator.classes, next(generator.parameters()).device
    noise = standard_normal(seed, 0, SAMPLE_ROWS * classes, generator.noise_dim)
    label = torch.arange(classes, device=device).repeat(SAMPLE_ROWS)
    noises = torch.from_numpy(noise).to(device).split(SAMPLE_BATCH)
    batches = zip(noises, label.split(SAMPLE_BATCH), strict=True)
    return torch.cat([to_uint8(generator(*batch)) for batch in batches])
