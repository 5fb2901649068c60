"""Load the handwritten digits that scikit-learn includes, for machines without MNIST.

They are 1,797 digits of 8 x 8 pixels by 43 people: the test part of the UCI dataset "Optical
Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998). Each digit is resampled to the layout
of MNIST: a box of 20 x 20 pixels in the middle of 28 x 28.
"""

import warnings

import numpy as np
import torch
from PIL import Image

from cgan_training.data.dataset import Dataset

BOX, MARGIN = 20, 4  # pixels: MARGIN + BOX + MARGIN = 28
MAX_VALUE = 16  # largest value of the original pixels
TEST_IMAGES = 297  # the last images, which are digits of other people


def load(*, train: bool = True) -> Dataset:
    """Load the 1,500 training digits, or the 297 test digits, as 28 x 28 images."""
    with warnings.catch_warnings():
        # The warning appears where /dev/shm is missing; this module does not use joblib.
        warnings.filterwarnings("ignore", ".*joblib will operate in serial mode")
        from sklearn.datasets import load_digits
    digits = load_digits()
    part = slice(None, -TEST_IMAGES) if train else slice(-TEST_IMAGES, None)
    images = torch.from_numpy(np.stack([_resample(digit) for digit in digits.images[part]]))
    labels = torch.from_numpy(digits.target[part].astype(np.int64))
    source = "scikit-learn's handwritten digits"
    return Dataset("optdigits", source, images.unsqueeze(1), labels, tuple("0123456789"))


def _resample(digit: np.ndarray) -> np.ndarray:
    """Resample a digit from float [8, 8] in 0..16 to uint8 [28, 28] in 0..255."""
    original = Image.fromarray((digit * (255 / MAX_VALUE)).round().astype(np.uint8))
    return np.pad(np.asarray(original.resize((BOX, BOX), Image.Resampling.BICUBIC)), MARGIN)
