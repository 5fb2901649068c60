"""Handwritten digits that scikit-learn carries, for machines that cannot have MNIST.

1,797 real digits of 8 x 8 pixels by 43 people: the test part of the UCI "Optical Recognition of
Handwritten Digits" set (Alpaydin & Kaynak 1998). They are resampled into MNIST's frame: a box of
20 x 20 pixels in the middle of 28 x 28.
"""

import warnings

import numpy as np
import torch
from PIL import Image

from cgan_training.data.dataset import Dataset

BOX, MARGIN = 20, 4  # pixels: MARGIN + BOX + MARGIN = 28
BRIGHTEST = 16  # of the 8 x 8 originals
HELD_OUT = 297  # the last ones, kept for tests; the people who wrote them differ


def load(*, train: bool = True) -> Dataset:
    """Load the 1,500 training digits, or the 297 held out, as 28 x 28 images."""
    with warnings.catch_warnings():
        # Where there is no /dev/shm; nothing here uses joblib.
        warnings.filterwarnings("ignore", ".*joblib will operate in serial mode")
        from sklearn.datasets import load_digits
    digits = load_digits()
    part = slice(None, -HELD_OUT) if train else slice(-HELD_OUT, None)
    images = np.stack([_into_mnist_frame(digit) for digit in digits.images[part]])
    return Dataset(
        name="optdigits",
        source="scikit-learn's bundled handwritten digits",
        images=torch.from_numpy(images).unsqueeze(1),
        labels=torch.from_numpy(digits.target[part].astype(np.int64)),
        class_names=tuple("0123456789"),
    )


def _into_mnist_frame(digit: np.ndarray) -> np.ndarray:
    """Resample a digit, float [8, 8] in 0 .. 16, to uint8 [28, 28]."""
    grey = Image.fromarray((digit * (255 / BRIGHTEST)).round().astype(np.uint8))
    box = grey.resize((BOX, BOX), Image.Resampling.BICUBIC)
    return np.pad(np.asarray(box), MARGIN)
