"""Augmentation of the training images."""

import pytest
import torch

from cgan_training.data import Dataset
from cgan_training.engine.augmentation import augment, has_background
from cgan_training.networks import to_float

RANDOM = torch.Generator().manual_seed(0)


def test_augment_probability_is_the_share_of_changed_images(digits: Dataset) -> None:
    images = to_float(digits.images[:400])
    after = augment(images, 0.25, RANDOM)
    assert after.shape == images.shape
    same = torch.isclose(after, images, atol=1e-5).flatten(1).all(1)
    assert same.float().mean().item() == pytest.approx(0.75, abs=0.07)
    assert after.min() >= -1 - 1e-5
    assert after.max() <= 1 + 1e-5


def test_digits_move_and_stretch_only_slightly(digits: Dataset) -> None:
    images = to_float(digits.images[:200])
    before, after = images.add(1), augment(images, 1.0, RANDOM).add(1)
    sums = [each.flatten(1).sum(1) for each in (before, after)]
    assert ((sums[1] / sums[0] - 1).abs() < 0.35).all()
    rows = torch.arange(28.0).view(1, 1, 28, 1)
    centers = [(e * rows).flatten(1).sum(1) / s for e, s in zip((before, after), sums, strict=True)]
    shifts = centers[0] - centers[1]
    assert shifts.abs().max() < 3.5
    assert shifts.std() > 0.5


def test_photos_are_mirrored_at_the_border_and_digits_get_background(digits: Dataset) -> None:
    photos = torch.full((50, 3, 8, 8), 200, dtype=torch.uint8)
    assert has_background(digits.images)
    assert not has_background(photos)
    moved = [augment(to_float(photos), 1.0, RANDOM, background=each) for each in (True, False)]
    assert moved[0].min() < 0
    assert moved[1].min() == pytest.approx(to_float(photos).min())


def test_gradients_pass_through() -> None:
    images = torch.zeros(3, 1, 8, 8, requires_grad=True)
    augment(images, 1.0, RANDOM).sum().backward()
    assert images.grad is not None
    assert images.grad[:, :, 2:-2, 2:-2].gt(0).all()


def test_a_probability_of_zero_changes_nothing() -> None:
    images, before = torch.zeros(3, 1, 8, 8), RANDOM.get_state()
    assert augment(images, 0.0, RANDOM) is images
    assert torch.equal(before, RANDOM.get_state())
