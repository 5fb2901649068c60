"""Datasets in memory, and scikit-learn's digits."""

from dataclasses import replace

import pytest
import torch

from cgan_training.data import Dataset
from cgan_training.data.sources import optdigits
from cgan_training.errors import DatasetError


def dataset(images: int, labels: list[int]) -> Dataset:
    pixels = torch.zeros(images, 1, 4, 6, dtype=torch.uint8)
    return Dataset("mine", "my files", pixels, torch.tensor(labels), ("no", "yes"))


def test_sizes_come_from_the_images() -> None:
    data = dataset(3, [0, 1, 1])
    assert (data.classes, data.image_shape) == (2, (1, 4, 6))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (3, [0, 1], "my files: 3 images but 2 labels; provide one label per image"),
        (0, [], "my files: 0 images but 0 labels; "),
        (2, [0, 2], "my files holds the label 2, but 2 classes allow 0 to 1; correct the label, "),
        (2, [-1, 1], "my files holds the label -1, but 2 classes allow 0 to 1"),
    ],
)
def test_images_and_labels_that_do_not_match_are_rejected(
    images: int, labels: list[int], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        dataset(images, labels)


def test_optdigits_have_the_layout_of_mnist(digits: Dataset) -> None:
    assert digits.images.shape == (1500, 1, 28, 28)
    assert digits.images.dtype == torch.uint8
    margin = digits.images.clone()
    margin[:, :, 4:24, 4:24] = 0
    assert not margin.any()
    assert digits.images.amax(dim=(1, 2, 3)).min() > 200
    counts = torch.bincount(digits.labels)
    assert len(counts) == digits.classes == 10
    assert counts.min() > 100


def test_training_and_test_part_of_optdigits_share_no_image(digits: Dataset) -> None:
    test = optdigits.load(train=False)
    assert len(digits.labels) + len(test.labels) == 1797
    train_images = {image.numpy().tobytes() for image in digits.images}
    assert not any(image.numpy().tobytes() in train_images for image in test.images)


def test_the_hash_depends_on_the_content_only() -> None:
    data = dataset(3, [0, 1, 1])
    assert len(data.sha256) == 64
    assert replace(data, name="other", source="elsewhere").sha256 == data.sha256
    images = data.images.clone()
    images[2, 0, 3, 5] = 1
    others = [
        replace(data, images=images),
        replace(data, images=data.images.reshape(3, 1, 6, 4)),
        replace(data, labels=torch.tensor([0, 1, 0])),
        replace(data, class_names=("yes", "no")),
        replace(data, class_names=("no", "yes", "maybe")),
    ]
    assert len({data.sha256, *(each.sha256 for each in others)}) == 1 + len(others)
