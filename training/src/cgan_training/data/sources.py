"""Find a dataset by its name, or in a folder of IDX files."""

import os
from pathlib import Path

from cgan_training.data.dataset import Dataset
from cgan_training.errors import DatasetError

DATASETS = ("auto", "mnist", "fashion-mnist", "kmnist", "qmnist", "optdigits")


def is_dataset_folder(name: str) -> bool:
    """Return whether --dataset means a folder by this name: a path, or a directory that is here."""
    separators = [os.sep, os.altsep or os.sep]
    is_path = any(separator in name for separator in separators)
    # pathlib's is_dir() raises where a name is too long to be one.
    return is_path or (name not in ("", *DATASETS) and os.path.isdir(name))  # noqa: PTH112


def load_dataset(name: str, data_dir: Path, *, train: bool = True) -> tuple[Dataset, str | None]:
    """Load a data set by name, or from a folder of IDX files.

    Args:
        name: one of DATASETS, or a folder's path (see idx_folder.py for what it holds). "auto" is
            MNIST where it is on disk or can be had, otherwise optdigits.
        data_dir: torchvision's root; MNIST lies, or is put, in its folder MNIST/raw, and so on.
        train: the training part, or the part held out for tests.

    Returns:
        The data set, and why it is not MNIST when "auto" had to settle for optdigits.

    Raises:
        DatasetError: it cannot be had, or a file is truncated or wrong.
    """
    from cgan_training.data import idx_folder, optdigits, torchvision_sets

    if is_dataset_folder(name):
        return idx_folder.load(Path(name), train=train), None
    if name in torchvision_sets.SETS:
        return torchvision_sets.load(name, data_dir, train=train), None
    if name == "optdigits":
        return optdigits.load(train=train), None
    if name == "auto":
        try:
            return torchvision_sets.load("mnist", data_dir, train=train), None
        except torchvision_sets.UnreachableError as error:
            return optdigits.load(train=train), str(error)
    raise DatasetError(
        f"no data set {name!r}; choose one of {', '.join(DATASETS)}, or give the path of a folder "
        "of IDX files"
    )
