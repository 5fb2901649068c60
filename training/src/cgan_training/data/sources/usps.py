"""Load USPS (Hull 1994): 9,298 digits of 16 x 16 pixels, as LIBSVM's authors distribute them.

A line of the file is a label, 1 to 10 for the digits 0 to 9, and 256 times index:value, with values
of -1 to 1.
"""

import bz2
from pathlib import Path

import numpy as np
import torch

from cgan_training.data.dataset import Dataset
from cgan_training.data.sources.download import read_or_download

TRAIN_MD5 = {"usps.bz2": "ec16c51db3855ca6c91edd34d0e9b197"}
TEST_MD5 = {"usps.t.bz2": "8ea070ee2aca1ac39742fdd1ef5ed118"}
SIDE = 16  # height and width in pixels


def load(data_dir: Path, *, train: bool = True) -> Dataset:
    """Load the 7,291 training images or the 2,007 test images for load_dataset()."""
    md5 = TRAIN_MD5 if train else TEST_MD5
    (content,) = read_or_download("USPS", "USPS", data_dir, data_dir, md5, train=train)
    lines = [line.split() for line in bz2.decompress(content).decode("ascii").splitlines()]
    labels = torch.tensor([int(line[0]) - 1 for line in lines])
    values = np.array([[pair.split(":")[1] for pair in line[1:]] for line in lines], np.float32)
    # torchvision rounds down in the same way.
    pixels = ((values + 1) / 2 * 255).astype(np.uint8).reshape(-1, 1, SIDE, SIDE)
    source = f"USPS in {data_dir}"
    return Dataset("usps", source, torch.from_numpy(pixels), labels, tuple("0123456789"))
