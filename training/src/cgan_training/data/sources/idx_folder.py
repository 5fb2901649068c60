"""Load your own dataset from a folder of IDX files in MNIST's layout.

    train-images-idx3-ubyte    [n, height, width]; for color [n, height, width, 3]
    train-labels-idx1-ubyte    [n]
    t10k-images-idx3-ubyte     the test part (optional)
    t10k-labels-idx1-ubyte
    classes.txt                one class name per line, UTF-8 (optional; default "0", "1", ...)

All types of numbers that IDX has are supported; to_images() describes the conversion to bytes. A
file name may end in another type (train-images-idx4-float), may have a dot before idx, and ends in
.gz if the file is gzipped. The files may also be in MNIST/raw below the folder, where
cgan-run --format idx writes them.
"""

import math
from pathlib import Path

from torch import Tensor

from cgan_training.data.arrays import to_images, to_labels
from cgan_training.data.class_names import CLASSES, read_class_names
from cgan_training.data.dataset import (
    Dataset,
    TooFewTestImagesError,
    check_labels,
    dataset_name_from_path,
    numbered_class_names,
    require_all_classes,
)
from cgan_training.data.files.idx import EmptyFileError, find_idx, read_equal_files, read_shape
from cgan_training.errors import DatasetError

IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"
# A file name ends in the type of the numbers, as in LeCun's table.
SUFFIXES = ("ubyte", "byte", "short", "int", "float", "double")
RAW = Path("MNIST", "raw")


def load(root: Path, folder: Path, *, train: bool = True) -> Dataset:
    """Load the files in find_folder(root) for load_dataset(); the root gives the dataset's name."""
    images, labels = _read_part(folder, "train") if train else _read_test_part(folder)
    class_names = read_class_names(folder / CLASSES) or read_class_names(root / CLASSES)
    if class_names is None:
        class_names = numbered_class_names(labels if train else _read_labels(folder, "train"))
    remedy = f"correct the label, or add names to {CLASSES}"
    source = _find(folder, LABELS.format("train" if train else "t10k"))[0]
    check_labels(labels, len(class_names), source, remedy)
    remedy = f"remove it from {CLASSES} and renumber the labels"
    require_all_classes(labels, class_names, folder, train=train, remedy=remedy)
    return Dataset(
        dataset_name_from_path(root), f"IDX files in {folder}", images, labels, class_names
    )


def find_folder(root: Path) -> Path | None:
    """Return the folder that holds the IDX files: the root, MNIST/raw below it, or None."""
    names = [name.format(part) for name in (IMAGES, LABELS) for part in ("train", "t10k")]
    candidates = root, root / RAW
    folders = [path for path in candidates if any(_existing(path, name) for name in names)]
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
        if read_shape(paths[0])[0]:  # there are images, but their height or width is 0
            raise
        is_train = part == "train"
        error_class = DatasetError if is_train else TooFewTestImagesError
        raise error_class(
            f"{folder} has no {'training' if is_train else 'test'} images ({paths[0].name} is "
            f"empty); add some, for example with cgan-run --format idx --split {part}"
        ) from error
    train_numbers = None
    if part != "train" and numbers.dtype != "uint8":
        train_numbers = read_equal_files(_find(folder, IMAGES.format("train"))).numpy()
    images = to_images(numbers, paths[0], train_numbers)
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
    """Return the existing files of this name, gzipped or not. Raise an error if there is none."""
    paths = _existing(folder, name)
    if not paths:
        raise DatasetError(f"{folder} lacks {name} (or {name}.gz); add the file")
    return paths


def _existing(folder: Path, name: str) -> list[Path]:
    """Return the existing files of this name, or with one more dimension or another suffix."""
    stem, dimensions = name.removesuffix("-ubyte").split("-idx")
    counts = int(dimensions), int(dimensions) + 1
    names = (f"{stem}-idx{count}-{suffix}" for count in counts for suffix in SUFFIXES)
    return find_idx(folder, *names)
