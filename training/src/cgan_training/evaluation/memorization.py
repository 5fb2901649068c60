"""Measure memorization: the pixel distance of generated images to the nearest training image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cgan_training.data import Dataset

CHUNK_IMAGES = 500  # their distances to 60,000 images take 120 MB


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of the same label, for each of n images."""

    index: Tensor  # int64 [n], into the training set
    distance: Tensor  # float32 [n], Euclidean, with pixels scaled to 0..1


def nearest_training_images(images: Tensor, labels: Tensor, train: Dataset) -> Nearest:
    """Find the nearest training image of the same label for each image.

    Args:
        images: uint8 [n, channels, height, width].
        labels: int64 [n]; the training set must contain each of them.
        train: the training set.
    """
    nearest = Nearest(torch.empty(len(images), dtype=torch.int64), torch.empty(len(images)))
    for label in labels.unique().tolist():
        candidates = (train.labels == label).nonzero().squeeze(1)
        points = train.images[candidates].flatten(1).float() / 255
        for chunk in (labels == label).nonzero().squeeze(1).split(CHUNK_IMAGES):
            found = torch.cdist(images[chunk].flatten(1).float() / 255, points).min(dim=1)
            nearest.index[chunk], nearest.distance[chunk] = candidates[found.indices], found.values
    return nearest


def memorization_rate(generated: Nearest, test: Nearest) -> float:
    """Return the share of generated images with a smaller distance than 99 % of the test images.

    A generator that makes new images scores about 0.01. One that copies training images scores up
    to 1. Blurred images also score more than 0.01. (Meehan et al. 2020 introduced this comparison.)
    """
    return (generated.distance < test.distance.quantile(0.01)).double().mean().item()
