import pytest
import torch

from cgan_training.data import Dataset
from cgan_training.errors import DatasetError


def dataset(images: int, labels: list[int]) -> Dataset:
    pixels = torch.zeros(images, 1, 4, 6, dtype=torch.uint8)
    return Dataset("mine", "my files", pixels, torch.tensor(labels), ("no", "yes"))


def test_sizes_come_from_the_images() -> None:
    data = dataset(3, [0, 1, 1])
    assert (data.classes, data.height, data.width) == (2, 4, 6)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (3, [0, 1], "my files: 3 images but 2 labels"),
        (0, [], "my files: 0 images but 0 labels"),
        (2, [0, 2], "my files: labels run from 0 to 2; they must be 0 to 1"),
        (2, [-1, 1], "my files: labels run from -1 to 1"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(
    images: int, labels: list[int], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        dataset(images, labels)
