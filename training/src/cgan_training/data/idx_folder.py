"""Load your own dataset from a folder of IDX files in MNIST's layout.

    train-images-idx3-ubyte    uint8 [n, height, width], 0 (background) to 255 (foreground)
    train-labels-idx1-ubyte    uint8 [n]
    t10k-images-idx3-ubyte     the test part (optional)
    t10k-labels-idx1-ubyte
    classes.txt                one class name per line, UTF-8 (optional; default "0", "1", ...)

The name of an IDX file may end in .gz, if it is gzipped, and have a dot before idx. The files may
also be in MNIST/raw below the folder, where cgan-run --format idx writes them.
"""

import os
from pathlib import Path

import torch
from torch import Tensor

from cgan_training.data.class_names import CLASSES, read_class_names
from cgan_training.data.dataset import Dataset, check_labels
from cgan_training.data.idx import EmptyFileError, find_idx, read_equal_files, read_shape
from cgan_training.errors import DatasetError

IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"
RAW = Path("MNIST", "raw")
ANY_IMAGES = (None, None, None)


def load(root: Path, *, train: bool = True) -> Dataset:
    """Load a folder for load_dataset(); the folder's name becomes the dataset's name."""
    if not os.path.isdir(root):  # noqa: PTH112 - Path.is_dir() raises if the name is too long
        raise DatasetError(f"there is no folder {root}; check the path given as --dataset")
    folder = _find_folder(root)
    images, labels = _read_part(folder, "train") if train else _read_test_part(folder)
    class_names = read_class_names(folder / CLASSES) or read_class_names(root / CLASSES)
    if class_names is None:
        class_names = _numbers(labels if train else _read_labels(folder, "train"))
    remedy = f"correct the label, or add names to {CLASSES}"
    source = _find(folder, LABELS.format("train" if train else "t10k"))[0]
    check_labels(labels, len(class_names), source, remedy)
    _require_all_classes(labels, class_names, folder, "training" if train else "test")
    name = "".join(char if char.isprintable() else "-" for char in root.resolve().name)
    return Dataset(name, f"IDX files in {folder}", images, labels, class_names)


def _find_folder(root: Path) -> Path:
    """Return the folder that holds the IDX files: the root itself, or MNIST/raw below it."""
    names = [name.format(part) for name in (IMAGES, LABELS) for part in ("train", "t10k")]
    folders = [each for each in (root, root / RAW) if any(find_idx(each, name) for name in names)]
    if len(folders) > 1:
        raise DatasetError(
            f"{root} holds IDX files, and so does {folders[1]}; move one of the two sets away"
        )
    return folders[0] if folders else root


def _read_part(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Return images, uint8 [n, 1, height, width], and labels, int64 [n]."""
    images = _find(folder, IMAGES.format(part))
    try:
        pixels = read_equal_files(images, "uint8", ANY_IMAGES)
    except EmptyFileError as error:
        if read_shape(images[0], "uint8", ANY_IMAGES)[0]:
            raise
        title = "training" if part == "train" else "test"
        raise DatasetError(
            f"{folder} has no {title} images ({images[0].name} is empty); add some, for example "
            f"with cgan-run --format idx --split {part}"
        ) from error
    return pixels.unsqueeze(1), _read_labels(folder, part, len(pixels))


def _read_test_part(folder: Path) -> tuple[Tensor, Tensor]:
    """Return the test part; raise DatasetError if it does not fit the training part."""
    names = [name.format("t10k") for name in (IMAGES, LABELS)]
    if not any(find_idx(folder, name) for name in names):
        raise DatasetError(f"{folder} has no test part; add {names[0]} and {names[1]}")
    images, labels = _read_part(folder, "t10k")
    _, *size = read_shape(_find(folder, IMAGES.format("train"))[0], "uint8", ANY_IMAGES)
    if list(images.shape[2:]) != size:
        raise DatasetError(
            f"{folder} has training images of {size[0]} x {size[1]} pixels, but test images of "
            f"{images.shape[2]} x {images.shape[3]}; give both parts the same size"
        )
    if len(images) < 2:
        raise DatasetError(f"{folder} has one test image; an evaluation needs at least 2, add some")
    return images, labels


def _read_labels(folder: Path, part: str, count: int | None = None) -> Tensor:
    paths = _find(folder, LABELS.format(part))
    remedy = "copy it again, or provide one label per image"
    return read_equal_files(paths, "uint8", [count], remedy).long()


def _numbers(train_labels: Tensor) -> tuple[str, ...]:
    """Return the class names of a folder without classes.txt."""
    return tuple(str(label) for label in range(int(train_labels.max()) + 1))


def _require_all_classes(
    labels: Tensor, class_names: tuple[str, ...], folder: Path, part: str
) -> None:
    """Raise DatasetError unless there is an image of each class.

    A generator would make noise of a class without training images, and an evaluation cannot
    measure a class without test images.
    """
    counts = torch.bincount(labels, minlength=len(class_names))
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        remedy = "add some"
        if part == "training":
            remedy += f", or remove the class from {CLASSES} and from the numbering of the labels"
        raise DatasetError(
            f"class {class_names[missing[0]]!r} has no {part} images in {folder}; {remedy}"
        )


def _find(folder: Path, name: str) -> list[Path]:
    """Return the existing files of this name, gzipped or not; they must hold the same numbers."""
    paths = find_idx(folder, name)
    if not paths:
        raise DatasetError(f"{folder} lacks {name} (or {name}.gz); add the file")
    return paths
