"""Datasets of labeled images, each held in memory as one tensor."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from cgan_training.data.conversion import NO_CONVERSION, Conversion
from cgan_training.data.dataset import Dataset, TooFewTestImagesError
from cgan_training.errors import DatasetError
from cgan_training.user_code import is_user_code

__all__ = ["DATASETS", "Conversion", "Dataset", "is_dataset_path", "load_dataset", "load_test_part"]

EMNIST_SPLITS = ("balanced", "bymerge", "byclass", "digits", "letters", "mnist")
DATASETS = (
    *("auto", "mnist", "fashion-mnist", "kmnist", "qmnist"),
    *(f"emnist-{split}" for split in EMNIST_SPLITS),
    *("usps", "cifar10", "svhn", "optdigits"),
)
NPZ = ".npz"


def is_dataset_path(name: str) -> bool:
    """Return whether a value of --dataset means a path: a folder, or a .npz file."""
    has_separator = os.sep in name or (os.altsep is not None and os.altsep in name)
    # os.path.isdir() because Path.is_dir() raises if the name is too long.
    is_folder = name not in ("", *DATASETS) and os.path.isdir(name)  # noqa: PTH112
    return has_separator or name.lower().endswith(NPZ) or is_folder


def load_dataset(
    name: str, data_dir: Path, *, train: bool = True, conversion: Conversion = NO_CONVERSION
) -> tuple[Dataset, str | None]:
    """Load a dataset by name, or from a folder or file.

    Args:
        name: one of DATASETS; the path of a folder as image_folder.py or idx_folder.py describes
            it, or of a file as npz.py does; or the name of a function as user_dataset.py describes
            it. "auto" means MNIST, or optdigits if MNIST is neither on disk nor can be downloaded.
        data_dir: the root folder of torchvision's datasets, for example with MNIST in MNIST/raw.
        train: whether to load the training part or the test part.
        conversion: the size and the number of channels of the images.

    Returns:
        The dataset, and why "auto" chose optdigits; None if it did not.

    Raises:
        DatasetError: the dataset does not exist or cannot be downloaded, a file is damaged, a file
            and its gzipped copy differ, a class has no images, or the images have different or
            unsupported sizes. With train=True, the test part of a folder or file is checked too.
        UserCodeError: a function of the user cannot be imported, or does not work.
    """
    from cgan_training.data.pixels import convert
    from cgan_training.data.sources.download import DownloadError

    problem = None
    try:
        data = _load("mnist" if name == "auto" else name, data_dir, conversion, train=train)
    except DownloadError as error:
        if name != "auto":
            raise
        data, problem = _load("optdigits", data_dir, conversion, train=train), str(error)
    return convert(data, conversion), problem


def load_test_part(train: Dataset, name: str, data_dir: Path) -> Dataset:
    """Load the test part of a dataset, converted in the same way as its loaded training part.

    Raises:
        DatasetError: see load_dataset(); also if the test images have another size.
    """
    conversion = replace(train.conversion, channels=train.image_shape[0])
    test, _ = load_dataset(name, data_dir, train=False, conversion=conversion)
    size, test_size = train.image_shape[1:], test.image_shape[1:]
    if size != test_size:
        raise DatasetError(
            f"{name} has training images of {size[0]} x {size[1]} pixels, but test images of "
            f"{test_size[0]} x {test_size[1]}; give both parts the same size, for example with "
            f"--image-size {size[0]}x{size[1]}"
        )
    return test


def _load(name: str, data_dir: Path, conversion: Conversion, *, train: bool) -> Dataset:
    from cgan_training.data.sources import (
        cifar10,
        optdigits,
        svhn,
        torchvision_sets,
        user_dataset,
        usps,
    )

    if is_dataset_path(name):
        return _load_path(Path(name), conversion, train=train)
    if is_user_code(name):
        return user_dataset.load(name, train=train)
    if name in torchvision_sets.SETS:
        return torchvision_sets.load(name, data_dir, train=train)
    if name == "optdigits":
        return optdigits.load(train=train)
    load = {"cifar10": cifar10.load, "svhn": svhn.load, "usps": usps.load}.get(name)
    if load is not None:
        return load(data_dir, train=train)
    raise DatasetError(
        f"there is no dataset {name!r}; choose one of {', '.join(DATASETS)}, or give the path of "
        "a folder or a .npz file"
    )


def _load_path(path: Path, conversion: Conversion, *, train: bool) -> Dataset:
    from cgan_training.data.sources import idx_folder, image_folder, npz

    is_folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir() raises if the name is too long
    if path.suffix.lower() == NPZ and not is_folder:
        load: Callable[..., Dataset] = partial(npz.load, path)
    elif is_folder:
        folder = idx_folder.find_folder(path)
        if folder is None:
            return image_folder.load(path, conversion, train=train)
        load = partial(idx_folder.load, path, folder)
    elif os.path.isfile(path):  # noqa: PTH113
        raise DatasetError(f"{path} is a file; give a folder or a .npz file as --dataset")
    else:
        raise DatasetError(f"there is no folder {path}; check the path given as --dataset")
    data = load(train=train)
    if train and (is_folder or npz.has_test_part(path)):
        with suppress(TooFewTestImagesError):
            load(train=False)  # finds errors in the test part before training starts
    return data
