import copy
import dataclasses
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from cgan_training.data import Dataset
from cgan_training.engine.rare_pixels import INKED, suppress_rare_pixels
from cgan_training.engine.trainer import Trainer
from cgan_training.errors import RecipeError
from cgan_training.networks import ConvolutionalGenerator, Generator, PerceptronGenerator, to_uint8
from cgan_training.recipe.schema import Recipe

CPU = torch.device("cpu")
NEVER, RARE, RARER, OFTEN = 0, 5, 10, 15  # pixels of 4 x 4


@pytest.fixture
def images() -> Tensor:
    """A thousand, all of them white but for four pixels."""
    made = torch.full((1000, 1, 4, 4), 255, dtype=torch.uint8)
    flat = made.view(1000, 16)
    for pixel, inked in ((NEVER, 0), (RARE, 20), (RARER, 49), (OFTEN, 200)):
        flat[inked:, pixel] = INKED - 1
    return made


def head(generator: Generator) -> nn.Linear:
    return cast(nn.Linear, generator.layers[-1])


def ink(generator: Generator) -> Tensor:
    """Return the share of fresh images that ink each pixel, float64 [16]."""
    noise = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        drawn = to_uint8(generator(noise, torch.arange(20_000) % 3))
    return (drawn >= INKED).flatten(1).double().mean(0)


def test_rare_ink_becomes_as_rare_as_in_the_data(images: Tensor) -> None:
    torch.manual_seed(0)
    generator = Generator(PerceptronGenerator((32,)), 8, 3, 4, 4).eval()
    with torch.no_grad():
        head(generator).weight[RARER] = 0  # it never inks that pixel
        head(generator).bias[RARER] = -3
    before, was = ink(generator), copy.deepcopy(generator.state_dict())
    suppress_rare_pixels(generator, images, 0.05, seed=1)
    after = ink(generator)
    assert before[NEVER] > 0.9
    assert after[NEVER] < 1e-3
    assert before[RARE] > 0.9
    assert after[RARE] == pytest.approx(0.02, abs=0.004)
    for name, tensor in generator.state_dict().items():
        changed = (tensor != was[name]).nonzero().squeeze(1).tolist()
        assert changed == ([NEVER, RARE] if name == "layers.2.bias" else [])


def test_where_no_pixel_is_rare_nothing_changes() -> None:
    generator = Generator(PerceptronGenerator((4,)), 8, 3, 4, 4).eval()
    was = copy.deepcopy(generator.state_dict())
    suppress_rare_pixels(generator, torch.full((10, 1, 4, 4), 255, dtype=torch.uint8), 0.5, seed=1)
    assert all(torch.equal(tensor, was[name]) for name, tensor in generator.state_dict().items())


def test_the_finished_generator_has_it_and_the_learning_one_not(
    small_recipe: Recipe, digits: Dataset
) -> None:
    plain, rare = (
        Trainer(dataclasses.replace(small_recipe, rare_ink=share), digits, CPU)
        for share in (0.0, 0.01)
    )
    for trainer in (plain, rare):
        trainer.train_epoch(lambda done, _sums: done < 3)
    biases = [
        (head(trainer.generator).bias, head(trainer.finished_generator()).bias)
        for trainer in (plain, rare)
    ]
    (learnt, finished), (also_learnt, lowered) = biases
    assert torch.equal(learnt, finished)
    assert torch.equal(learnt, also_learnt)
    few = (digits.images >= INKED).flatten(1).double().mean(0) < 0.01
    assert (lowered[few] < learnt[few]).any()
    assert torch.equal(lowered[~few], learnt[~few])


def test_a_generator_without_pixel_biases_is_refused(small_recipe: Recipe) -> None:
    generator = ConvolutionalGenerator(hidden=8, channels=4)
    with pytest.raises(RecipeError, match=r"'convolutional' has no bias for each pixel; take"):
        dataclasses.replace(small_recipe, generator=generator, rare_ink=0.001)
