"""Load CIFAR-10 (Krizhevsky 2009) from the files that torchvision downloads.

They are pickles of numpy arrays. A file is unpickled only if it has the MD5 of the original, and
only the functions that arrays need can be called.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cgan_training.data.dataset import Dataset
from cgan_training.data.sources.download import read_or_download

FOLDER = "cifar-10-batches-py"
TRAIN_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
TEST_MD5 = {"test_batch": "40351d587109b95175f43aff81a1287e"}
CLASS_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
SHAPE = (-1, 3, 32, 32)  # shape of the images of a file


def load(data_dir: Path, *, train: bool = True) -> Dataset:
    """Load the 50,000 training images or the 10,000 test images for load_dataset()."""
    folder, md5 = data_dir / FOLDER, TRAIN_MD5 if train else TEST_MD5
    contents = read_or_download("CIFAR10", "CIFAR-10", data_dir, folder, md5, train=train)
    batches = [
        _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load() for content in contents
    ]
    images = np.concatenate([batch["data"] for batch in batches]).reshape(SHAPE)
    labels = [label for batch in batches for label in batch["labels"]]
    source = f"CIFAR-10 in {folder}"
    return Dataset("cifar10", source, torch.from_numpy(images), torch.tensor(labels), CLASS_NAMES)


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles arrays and plain values. Other functions and classes raise UnpicklingError."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            "numpy.core.multiarray._reconstruct": np.empty(0).__reduce__()[0],
            "numpy.ndarray": np.ndarray,
            "numpy.dtype": np.dtype,
        }
        if f"{module}.{name}" not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in an array")
        return allowed[f"{module}.{name}"]
