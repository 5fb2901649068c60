"""Load Street View House Numbers (Netzer et al. 2011): cropped digits in color, as MATLAB files."""

import io
from pathlib import Path

import numpy as np
import torch

from cgan_training.data.dataset import Dataset, check_labels
from cgan_training.data.sources.download import REMEDY, read_or_download

TRAIN_MD5 = {"train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373"}
TEST_MD5 = {"test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3"}


def load(data_dir: Path, *, train: bool = True) -> Dataset:
    """Load the 73,257 training images or the 26,032 test images for load_dataset()."""
    from scipy.io import loadmat

    split, md5 = ("train", TRAIN_MD5) if train else ("test", TEST_MD5)
    (content,) = read_or_download("SVHN", "SVHN", data_dir, data_dir, md5, split=split)
    arrays = loadmat(io.BytesIO(content), variable_names=("X", "y"))
    images = np.ascontiguousarray(arrays["X"].transpose(3, 2, 0, 1))  # X is [h, w, 3, n]
    labels = torch.from_numpy(arrays["y"].reshape(-1).astype(np.int64)) % 10  # 10 is the digit 0
    class_names = tuple("0123456789")
    check_labels(labels, len(class_names), data_dir / next(iter(md5)), REMEDY)
    source = f"SVHN in {data_dir}"
    return Dataset("svhn", source, torch.from_numpy(images), labels, class_names)
