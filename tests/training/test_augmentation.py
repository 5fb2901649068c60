import dataclasses

import pytest
import torch

from cgan_training.data import Dataset
from cgan_training.engine.augmentation import SMALL_SET, moved
from cgan_training.engine.trainer import Trainer
from cgan_training.networks import to_float
from cgan_training.recipe.schema import Recipe


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_share_of_the_images_is_moved(digits: Dataset, random: torch.Generator) -> None:
    images = to_float(digits.images[:400])
    after = moved(images, 0.25, random)
    assert after.shape == images.shape
    same = torch.isclose(after, images, atol=1e-5).flatten(1).all(1)
    assert same.float().mean().item() == pytest.approx(0.75, abs=0.07)
    assert after.min() >= -1 - 1e-5
    assert after.max() <= 1 + 1e-5


def test_a_moved_digit_is_still_itself(digits: Dataset, random: torch.Generator) -> None:
    images = to_float(digits.images[:200])
    after = moved(images, 1.0, random)
    ink, moved_ink = (each.add(1).flatten(1).sum(1) for each in (images, after))
    assert ((moved_ink / ink - 1).abs() < 0.35).all()  # within the stretch of both sides
    rows = torch.arange(28.0).view(1, 1, 28, 1)
    middles = [
        ((each + 1) * rows).flatten(1).sum(1) / s for each, s in ((images, ink), (after, moved_ink))
    ]
    shifts = middles[0] - middles[1]
    assert shifts.abs().max() < 3.5
    assert shifts.std() > 0.5


def test_gradients_pass_through(random: torch.Generator) -> None:
    images = torch.zeros(3, 1, 8, 8, requires_grad=True)
    moved(images, 1.0, random).sum().backward()
    assert images.grad is not None
    assert images.grad[:, :, 2:-2, 2:-2].gt(0).all()


def test_only_small_sets_are_augmented(small_recipe: Recipe, digits: Dataset) -> None:
    recipe = dataclasses.replace(small_recipe, augment=0.5)
    cpu = torch.device("cpu")
    assert Trainer(recipe, digits, cpu).augment == 0.5
    times = -(-SMALL_SET // len(digits.labels))
    many = dataclasses.replace(
        digits, images=digits.images.repeat(times, 1, 1, 1), labels=digits.labels.repeat(times)
    )
    assert Trainer(recipe, many, cpu).augment == 0
    plain, other = Trainer(small_recipe, digits, cpu), Trainer(recipe, digits, cpu)
    losses = [each.train_epoch().loss_discriminator for each in (plain, other)]
    assert losses[0] != losses[1]
