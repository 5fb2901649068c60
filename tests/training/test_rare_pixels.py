"""The suppression of rare pixels in the finished generator."""

import copy
import dataclasses
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.engine.rare_pixels import FOREGROUND, suppress_rare_pixels
from cgan_training.networks import Generator, build_generator, to_uint8
from cgan_training.recipe import PerceptronGeneratorSettings, Recipe

NEVER, RARE, SUPPRESSED, OFTEN = 0, 5, 10, 15  # numbers of pixels in images of 4 x 4


@pytest.fixture
def images() -> Tensor:
    """A thousand white images, in which four pixels are foreground only in some."""
    images = torch.full((1000, 1, 4, 4), 255, dtype=torch.uint8)
    pixels = images.view(1000, 16)
    for pixel, count in ((NEVER, 0), (RARE, 20), (SUPPRESSED, 49), (OFTEN, 200)):
        pixels[count:, pixel] = FOREGROUND - 1
    return images


def head(generator: Generator) -> nn.Linear:
    return cast(nn.Linear, generator.layers[-1])


def foreground_share(generator: Generator) -> Tensor:
    """Return the share of generated images in which each pixel is foreground, float64 [16]."""
    noise = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        generated = to_uint8(generator(noise, torch.arange(20_000) % 3))
    return (generated >= FOREGROUND).flatten(1).double().mean(0)


def test_rare_pixels_become_as_rare_as_in_the_training_images(images: Tensor) -> None:
    torch.manual_seed(0)
    generator = build_generator(PerceptronGeneratorSettings((32,)), 8, 3, (1, 4, 4)).eval()
    with torch.no_grad():  # it uses this pixel less often than the training images do
        head(generator).weight[SUPPRESSED] = 0
        head(generator).bias[SUPPRESSED] = -3
    before, weights = foreground_share(generator), copy.deepcopy(generator.state_dict())
    suppress_rare_pixels(generator, images, 0.05, seed=1)
    after = foreground_share(generator)
    assert before[[NEVER, RARE]].min() > 0.9
    assert after[NEVER] < 1e-3
    assert after[RARE] == pytest.approx(0.02, abs=0.004)
    for name, tensor in generator.state_dict().items():
        changed = (tensor != weights[name]).nonzero().squeeze(1).tolist()
        assert changed == ([NEVER, RARE] if name == "layers.2.bias" else [])


def test_nothing_changes_without_rare_pixels() -> None:
    generator = build_generator(PerceptronGeneratorSettings((4,)), 8, 3, (1, 4, 4)).eval()
    before = copy.deepcopy(generator.state_dict())
    white = torch.full((10, 1, 4, 4), 255, dtype=torch.uint8)
    suppress_rare_pixels(generator, white, 0.5, seed=1)
    assert all(map(torch.equal, generator.state_dict().values(), before.values()))


def test_only_the_finished_generator_is_changed(small_recipe: Recipe, digits: Dataset) -> None:
    recipe = dataclasses.replace(small_recipe, rare_pixel_threshold=0.01)
    trainer = Trainer(recipe, digits, torch.device("cpu"))
    trainer.train_epoch(lambda done, _sums: done < 3)
    trained, finished = (
        head(each).bias for each in (trainer.state.generator, trainer.finished_generator())
    )
    rare = (digits.images >= FOREGROUND).flatten(1).double().mean(0) < 0.01
    assert (finished[rare] < trained[rare]).any()
    assert torch.equal(finished[~rare], trained[~rare])
