"""The fingerprint of a dataset: statistics that describe its images."""

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.data.dataset import Dataset
from cgan_training.data.pixels import to_gray
from cgan_training.data.spectrum import high_frequency_share

TEXTURE_IMAGES = 2000  # largest number of images, evenly spaced, for the statistics of texture
COMPONENTS = 256  # units of the last hidden layer of the recipe edge
GRAY = (32, 224)  # range of pixel values that are neither background nor saturated
HASH_BYTES = 16


@dataclass(frozen=True)
class Fingerprint:
    """Statistics of a dataset."""

    images: int  # number of images
    image_shape: ImageShape
    class_counts: tuple[int, ...]  # images per class, by label
    mean_pixel_value: float  # 0..255; the mean luma if the images are RGB
    duplicate_share: float  # share of images that equal an earlier one, 0..1
    # Share of the variance that a perceptron would lose; see lost_detail(). MNIST has 0.0070,
    # Fashion-MNIST 0.0241, CIFAR-10 in gray 0.0340.
    lost_detail: float
    # Share of spectral power above half the Nyquist frequency in both directions. MNIST has 0.0065,
    # Fashion-MNIST 0.0056, white noise 0.25.
    high_frequency: float

    @property
    def median_count(self) -> int:
        """Number of images of the median class."""
        return sorted(self.class_counts)[len(self.class_counts) // 2]

    @property
    def imbalance(self) -> float:
        """Images of the largest class per image of the smallest one, 1 or more."""
        return max(self.class_counts) / max(1, min(self.class_counts))


def fingerprint(dataset: Dataset) -> Fingerprint:
    """Compute the fingerprint of a dataset."""
    gray = to_gray(dataset.images)
    count = len(gray)
    spaced = dataset.images[:: math.ceil(count / TEXTURE_IMAGES)]
    return Fingerprint(
        images=count,
        image_shape=dataset.image_shape,
        class_counts=tuple(dataset.labels.bincount(minlength=dataset.classes).tolist()),
        mean_pixel_value=int(gray.sum(dtype=torch.int64)) / gray.numel(),
        duplicate_share=1 - _distinct_images(dataset) / count,
        lost_detail=lost_detail(spaced),
        high_frequency=high_frequency_share(spaced),
    )


def _distinct_images(dataset: Dataset) -> int:
    digests = {
        hashlib.blake2b(image.data, digest_size=HASH_BYTES).digest()
        for image in dataset.images.contiguous().numpy()
    }
    return len(digests)


def lost_detail(images: Tensor) -> float:
    """Return the share of the images' variance that edge's perceptron cannot generate, 0..1.

    Its last layer maps 256 numbers linearly to the pixels before tanh. The lost detail is therefore
    estimated as the residual of a random half of the images after their projection onto the first
    256 principal components of the other half. Only gray pixels count, because errors at black and
    white pixels disappear in tanh.

    Args:
        images: uint8 [n, channels, height, width].
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    pixels = images[order].flatten(1).float()  # [n, pixels]
    fitted, held_out = pixels.tensor_split(2)
    mean = fitted.mean(0)
    components = torch.linalg.svd(fitted - mean, full_matrices=False).Vh[:COMPONENTS]
    centered = held_out - mean
    detail = centered - centered @ components.T @ components
    is_gray = (held_out >= GRAY[0]) & (held_out < GRAY[1])
    variance = centered.square().sum().item()
    return (detail * is_gray).square().sum().item() / variance if variance else 0.0
