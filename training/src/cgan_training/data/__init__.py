"""Datasets of labeled gray images, each held in memory as one tensor."""

import os
from pathlib import Path

from cgan_training.data.dataset import Dataset
from cgan_training.errors import DatasetError
from cgan_training.user_code import is_user_code

__all__ = ["DATASETS", "Dataset", "is_dataset_folder", "load_dataset"]

DATASETS = ("auto", "mnist", "fashion-mnist", "kmnist", "qmnist", "optdigits")


def is_dataset_folder(name: str) -> bool:
    """Return whether a value of --dataset means a folder: a path, or an existing directory."""
    is_path = any(separator in name for separator in (os.sep, os.altsep or os.sep))
    # os.path.isdir() because Path.is_dir() raises if the name is too long.
    return is_path or (name not in ("", *DATASETS) and os.path.isdir(name))  # noqa: PTH112


def load_dataset(name: str, data_dir: Path, *, train: bool = True) -> tuple[Dataset, str | None]:
    """Load a dataset by name, or from a folder of IDX files.

    Args:
        name: one of DATASETS, the path of a folder as idx_folder.py describes it, or the name of a
            function as user_dataset.py describes it. "auto" means MNIST, or optdigits if MNIST is
            neither on disk nor can be downloaded.
        data_dir: the root folder of torchvision's datasets, for example with MNIST in MNIST/raw.
        train: whether to load the training part or the test part.

    Returns:
        The dataset, and why "auto" chose optdigits; None if it did not.

    Raises:
        DatasetError: the dataset does not exist or cannot be downloaded, a file is damaged or has
            an outdated twin, a class has no images, or the test part does not fit the training
            part.
        UserCodeError: a function of the user cannot be imported, or does not work.
    """
    from cgan_training.data import idx_folder, optdigits, torchvision_sets, user_dataset

    if is_dataset_folder(name):
        return idx_folder.load(Path(name), train=train), None
    if is_user_code(name):
        return user_dataset.load(name, train=train), None
    if name in torchvision_sets.SETS:
        return torchvision_sets.load(name, data_dir, train=train), None
    if name == "optdigits":
        return optdigits.load(train=train), None
    if name == "auto":
        try:
            return torchvision_sets.load("mnist", data_dir, train=train), None
        except torchvision_sets.DownloadError as error:
            return optdigits.load(train=train), str(error)
    raise DatasetError(
        f"there is no dataset {name!r}; choose one of {', '.join(DATASETS)}, or give the path of a "
        "folder of IDX files"
    )
