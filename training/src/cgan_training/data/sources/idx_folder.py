"""Load your own dataset from a folder of IDX files in MNIST's layout.

    train-images-idx3-ubyte    [n, height, width]; for color [n, height, width, 3]
    train-labels-idx1-ubyte    [n]
    t10k-images-idx3-ubyte     the test part (optional)
    t10k-labels-idx1-ubyte
    classes.txt                one class name per line, UTF-8 (optional; default "0", "1", ...)

Every type of numbers that IDX has is read; see values.py for the conversion to bytes. The name of
an IDX file may end in another type of LeCun's table (idx4-float), and in .gz if it is gzipped. It
may have a dot before idx. The files may also be in MNIST/raw below the folder, where
cgan-run --format idx writes them.
"""

import math
from pathlib import Path

from torch import Tensor

from cgan_training.data.class_names import CLASSES, read_class_names
from cgan_training.data.dataset import (
    Dataset,
    TooFewTestImagesError,
    check_labels,
    number_names,
    path_name,
    require_all_classes,
)
from cgan_training.data.files.idx import EmptyFileError, find_idx, read_equal_files, read_shape
from cgan_training.data.values import to_images, to_labels
from cgan_training.errors import DatasetError

IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"
SUFFIXES = ("ubyte", "byte", "short", "int", "float", "double")  # of file names, by type
RAW = Path("MNIST", "raw")


def load(root: Path, folder: Path, *, train: bool = True) -> Dataset:
    """Load the files in find_folder(root) for load_dataset(); the root gives the dataset's name."""
    images, labels = _read_part(folder, "train") if train else _read_test_part(folder)
    class_names = read_class_names(folder / CLASSES) or read_class_names(root / CLASSES)
    if class_names is None:
        class_names = number_names(labels if train else _read_labels(folder, "train"))
    remedy = f"correct the label, or add names to {CLASSES}"
    source = _find(folder, LABELS.format("train" if train else "t10k"))[0]
    check_labels(labels, len(class_names), source, remedy)
    remedy = f"remove the class from {CLASSES} and from the numbering of the labels"
    require_all_classes(labels, class_names, folder, train=train, remedy=remedy)
    return Dataset(path_name(root), f"IDX files in {folder}", images, labels, class_names)


def find_folder(root: Path) -> Path | None:
    """Return the folder that holds the IDX files: the root, MNIST/raw below it, or None."""
    names = [name.format(part) for name in (IMAGES, LABELS) for part in ("train", "t10k")]
    folders = [each for each in (root, root / RAW) if any(_existing(each, name) for name in names)]
    if len(folders) > 1:
        raise DatasetError(
            f"{root} holds IDX files, and so does {folders[1]}; move one of the two sets away"
        )
    return folders[0] if folders else None


def _read_part(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Return images, uint8 [n, channels, height, width], and labels, int64 [n]."""
    paths = _find(folder, IMAGES.format(part))
    try:
        numbers = read_equal_files(paths).numpy()
    except EmptyFileError as error:
        if read_shape(paths[0])[0]:
            raise
        title = "training" if part == "train" else "test"
        raise (DatasetError if part == "train" else TooFewTestImagesError)(
            f"{folder} has no {title} images ({paths[0].name} is empty); add some, for example "
            f"with cgan-run --format idx --split {part}"
        ) from error
    like = None
    if part != "train" and numbers.dtype != "uint8":
        like = read_equal_files(_find(folder, IMAGES.format("train"))).numpy()
    images = to_images(numbers, paths[0], like)
    return images, _read_labels(folder, part, len(images))


def _read_test_part(folder: Path) -> tuple[Tensor, Tensor]:
    """Return the test part; raise TooFewTestImagesError if it is missing or has one image."""
    names = [name.format("t10k") for name in (IMAGES, LABELS)]
    if not any(_existing(folder, name) for name in names):
        raise TooFewTestImagesError(f"{folder} has no test part; add {names[0]} and {names[1]}")
    images, labels = _read_part(folder, "t10k")
    if len(images) < 2:
        raise TooFewTestImagesError(
            f"{folder} has one test image; an evaluation needs at least 2, add some"
        )
    return images, labels


def _read_labels(folder: Path, part: str, count: int | None = None) -> Tensor:
    paths = _find(folder, LABELS.format(part))
    labels = math.prod(read_shape(paths[0]))
    if count is not None and labels != count:
        raise DatasetError(
            f"{paths[0]} holds {labels:,} numbers, but there are {count:,} images; copy it again, "
            "or provide one label per image"
        )
    return to_labels(read_equal_files(paths).numpy(), paths[0])


def _find(folder: Path, name: str) -> list[Path]:
    """Return the existing files of this name, gzipped or not; they must hold the same numbers."""
    paths = _existing(folder, name)
    if not paths:
        raise DatasetError(f"{folder} lacks {name} (or {name}.gz); add the file")
    return paths


def _existing(folder: Path, name: str) -> list[Path]:
    """Return the files of this name with any number of dimensions and any type in the name."""
    stem, dimensions = name.removesuffix("-ubyte").split("-idx")
    more = int(dimensions) + 1
    return find_idx(
        folder, *(f"{stem}-idx{each}-{kind}" for each in (dimensions, more) for kind in SUFFIXES)
    )
