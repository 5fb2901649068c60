"""What a data set is, and how one is found by name."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cgan_training.errors import DatasetError

if TYPE_CHECKING:  # the command reads names before it knows that it needs torch
    from torch import Tensor

DATASETS = ("auto", "mnist", "fashion-mnist", "kmnist", "qmnist", "optdigits")


@dataclass(frozen=True)
class Dataset:
    """Labelled grey images in memory.

    Raises:
        DatasetError: images and labels do not fit each other.
    """

    name: str  # as --dataset spells it; of a folder, its last part
    source: str  # where the images came from, in words
    images: "Tensor"  # uint8 [n, 1, height, width], 0 background .. 255 ink
    labels: "Tensor"  # int64 [n], 0 <= label < classes
    class_names: tuple[str, ...]  # one a label

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels) or len(self.labels) == 0:
            raise DatasetError(
                f"{self.source}: {len(self.images)} images but {len(self.labels)} labels; "
                "both must be there, one label an image"
            )
        if int(self.labels.min()) < 0 or int(self.labels.max()) >= self.classes:
            raise DatasetError(
                f"{self.source}: labels run from {int(self.labels.min())} to "
                f"{int(self.labels.max())}; they must be 0 to {self.classes - 1}"
            )

    @property
    def classes(self) -> int:
        """Number of labels."""
        return len(self.class_names)

    @property
    def height(self) -> int:
        """Of an image, in pixels."""
        return int(self.images.shape[2])

    @property
    def width(self) -> int:
        """Of an image, in pixels."""
        return int(self.images.shape[3])


def names_folder(name: str) -> bool:
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

    if names_folder(name):
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
