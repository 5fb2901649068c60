"""The fingerprint of a dataset: figures that say what kind of images it holds."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.data.dataset import Dataset
from cgan_training.data.pixels import to_gray

TEXTURE_IMAGES = 2000  # at most, from which texture and high_frequency are computed
FLAT = 2  # levels of 255 by which neighboring pixels of a flat area may differ
HALF_NYQUIST = 0.25  # cycles per pixel
HASH_BYTES = 16


@dataclass(frozen=True)
class Fingerprint:
    """Figures of a dataset."""

    images: int
    image_shape: ImageShape
    class_counts: tuple[int, ...]  # images per class, by label
    mean_level: float  # of all pixels, 0..255; in color of their luma
    duplicate_share: float  # share of images that equal an earlier one, 0..1
    # Share of the pixels that are not in a flat area, because the pixel above or on the left
    # differs. MNIST has 0.23, Fashion-MNIST 0.55, CIFAR-10 0.91.
    texture: float
    # Share of spectral power above half the Nyquist frequency in both directions. MNIST has 0.010,
    # CIFAR-10 0.004, white noise 0.25.
    high_frequency: float

    @property
    def median_count(self) -> int:
        """Images of the median class."""
        return sorted(self.class_counts)[len(self.class_counts) // 2]

    @property
    def imbalance(self) -> float:
        """Images of the largest class per image of the smallest one, 1 or more."""
        return max(self.class_counts) / max(1, min(self.class_counts))


def fingerprint(dataset: Dataset) -> Fingerprint:
    """Compute the fingerprint of a dataset."""
    gray = to_gray(dataset.images)
    count = len(gray)
    some = gray[:: -(-count // TEXTURE_IMAGES), 0].float()
    return Fingerprint(
        images=count,
        image_shape=dataset.image_shape,
        class_counts=tuple(dataset.labels.bincount(minlength=dataset.classes).tolist()),
        mean_level=int(gray.sum(dtype=torch.int64)) / gray.numel(),
        duplicate_share=1 - _distinct_images(dataset) / count,
        texture=_texture(some),
        high_frequency=_high_frequency(some),
    )


def _distinct_images(dataset: Dataset) -> int:
    digests = {
        hashlib.blake2b(image.data, digest_size=HASH_BYTES).digest()
        for image in dataset.images.contiguous().numpy()
    }
    return len(digests)


def _texture(images: Tensor) -> float:
    """Return the share of pixels outside flat areas, of images [n, h, w] in 0..255."""
    pixels = images[:, 1:, 1:]
    above, left = images[:, :-1, 1:], images[:, 1:, :-1]
    differs = ((pixels - above).abs() > FLAT) | ((pixels - left).abs() > FLAT)
    return float(differs.float().mean())


def _high_frequency(images: Tensor) -> float:
    """Return the share of spectral power at high frequencies, of images [n, h, w].

    The power of each image is that of its deviations from its mean, so that its brightness does not
    count.
    """
    deviations = images - images.mean((1, 2), keepdim=True)
    power = torch.fft.fft2(deviations).abs().square().sum(0)
    rows, columns = (torch.fft.fftfreq(side).abs() >= HALF_NYQUIST for side in power.shape)
    total = power.sum().clamp_min(torch.finfo(torch.float32).tiny)
    return float(power[rows][:, columns].sum() / total)
