"""Does the generator draw, or recall? Nearest training images in pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 500  # images at a time: 120 MB against 60,000


@dataclass(frozen=True)
class Nearest:
    """Of each image, the nearest training image of its label."""

    index: Tensor  # int64 [n], into the training set
    distance: Tensor  # float32 [n], Euclidean, pixels in 0 .. 1


def nearest_training_images(
    images: Tensor, labels: Tensor, train: tuple[Tensor, Tensor]
) -> Nearest:
    """Find them.

    Args:
        images: uint8 [n, 1, height, width].
        labels: int64 [n], each of which the training set has.
        train: uint8 [m, 1, height, width] and int64 [m].
    """
    index = torch.empty(len(images), dtype=torch.int64)
    distance = torch.empty(len(images))
    for label in labels.unique().tolist():
        candidates = (train[1] == label).nonzero().squeeze(1)
        points = train[0][candidates].flatten(1).float() / 255
        for mine in (labels == label).nonzero().squeeze(1).split(CHUNK):
            near = torch.cdist(images[mine].flatten(1).float() / 255, points).min(dim=1)
            index[mine], distance[mine] = candidates[near.indices], near.values
    return Nearest(index, distance)


def memorization(drawn: Nearest, held_out: Nearest) -> float:
    """Return the share of drawn images that lie closer to a training image than 99 % of test ones.

    Test images are new by construction, so their distances say how close a new image of the same
    world comes by chance: a generator that draws new images scores about 0.01, one that recalls
    training images up to 1, one that blurs more than 0.01 too. (The comparison of distances to
    training and held-out images goes back to Meehan et al. 2020.)
    """
    close = held_out.distance.quantile(0.01)
    return (drawn.distance < close).double().mean().item()
