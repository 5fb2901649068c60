"""The recipe that cgan-train chooses for a dataset."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cgan_training.data import Dataset
from cgan_training.data.fingerprint import fingerprint, lost_detail
from cgan_training.run.planning.recipe_choice import choose_recipe

SHAPE = (600, 1, 20, 20)


def noise(low: int, high: int) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(low, high, SHAPE, generator=rng, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("images", "low", "high"),
    [
        (noise(40, 220), 0.3, 0.5),  # 256 of 400 principal components explain 64% of the variance
        (noise(0, 2) * 255, 0, 0),  # a saturated tanh generates black and white pixels
        (noise(40, 220)[:, :, :16, :16], 0, 1e-9),  # 256 components suffice for 256 pixels
        (noise(40, 220)[:1], 0, 0),
        (noise(40, 220)[:1].expand(600, -1, -1, -1), 0, 0),  # no variance
    ],
    ids=["gray noise", "black and white noise", "few pixels", "one image", "equal images"],
)
def test_detail_is_what_256_components_lose_in_gray_pixels(
    images: Tensor, low: float, high: float
) -> None:
    assert low <= lost_detail(images) <= high


def test_a_smooth_dataset_has_no_detail_to_lose(digits: Dataset) -> None:
    assert lost_detail(digits.images) < 1e-3


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        (lambda images: images, "edge", "the images have little texture: 0.00% of"),
        (lambda images: images // 2 + noise(40, 120), "edge-texture", "have texture: "),
        (lambda images: images.repeat(1, 3, 1, 1), "edge-conv", "the images have colors"),
    ],
    ids=["smooth", "with noise", "color"],
)
def test_the_recipe_depends_on_the_detail_of_the_images(
    digits: Dataset, change: Callable[[Tensor], Tensor], name: str, reason: str
) -> None:
    images = change(digits.images[:600, :, 4:24, 4:24])
    data = replace(digits, images=images, labels=digits.labels[:600])
    chosen, because = choose_recipe(fingerprint(data))
    assert chosen == name
    assert reason in because


@pytest.mark.parametrize(("count", "name"), [(9_999, "edge-texture"), (10_000, "edge")])
def test_few_images_need_convolutions_sooner(digits: Dataset, count: int, name: str) -> None:
    figures = replace(fingerprint(digits), images=count, lost_detail=0.001)
    assert choose_recipe(figures)[0] == name
