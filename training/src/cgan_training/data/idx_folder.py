"""Load your own dataset from a folder of IDX files in MNIST's layout.

    train-images-idx3-ubyte    uint8 [n, height, width], 0 (background) to 255 (foreground)
    train-labels-idx1-ubyte    uint8 [n]
    t10k-images-idx3-ubyte     the test part (optional)
    t10k-labels-idx1-ubyte
    classes.txt                one class name per line, UTF-8 (optional; default "0", "1", ...)

The name of an IDX file may end in .gz, if it is gzipped.
"""

import os
from pathlib import Path

from torch import Tensor

from cgan_training.data.dataset import Dataset, check_labels
from cgan_training.data.idx import read_images, read_labels
from cgan_training.errors import DatasetError

IMAGES, LABELS, CLASSES = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte", "classes.txt"


def load(folder: Path, *, train: bool = True) -> Dataset:
    """Load a folder for load_dataset(); the folder's name becomes the dataset's name."""
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir() raises if the name is too long
        raise DatasetError(f"there is no folder {folder}; check the path given as --dataset")
    names = [each.format("train" if train else "t10k") for each in (IMAGES, LABELS)]
    if not train and not any(_existing_paths(folder, name) for name in names):
        raise DatasetError(f"{folder} has no test part; add {names[0]} and {names[1]}")
    images_path, labels_path = (_find(folder, name) for name in names)
    images, labels = read_images(images_path), read_labels(labels_path)
    class_names = _class_names(folder, labels if train else None)
    remedy = f"correct the label, or add names to {CLASSES}"
    check_labels(labels, len(class_names), labels_path, remedy)
    name = "".join(char if char.isprintable() else "-" for char in folder.resolve().name)
    return Dataset(name, f"IDX files in {folder}", images, labels, class_names)


def _class_names(folder: Path, train_labels: Tensor | None) -> tuple[str, ...]:
    """Return the names in classes.txt, or else the numbers 0 to the largest training label."""
    path = folder / CLASSES
    try:
        text = path.read_text(encoding="utf-8-sig")  # skips the byte order mark of some editors
    except FileNotFoundError:
        if train_labels is None:
            train_labels = read_labels(_find(folder, LABELS.format("train")))
        return tuple(str(label) for label in range(int(train_labels.max()) + 1))
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}; check its permissions"
        raise DatasetError(message) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    names = [line.strip() for line in text.removesuffix("\n").split("\n")]
    for number, name in enumerate(names, 1):
        line = f"line {number} of {path}"
        if not name or not name.isprintable():
            problem = "has unprintable characters" if name else "is empty"
            raise DatasetError(f"{line} {problem}; write one class name per line")
        if name in names[: number - 1]:
            raise DatasetError(f"{line} repeats the class name {name!r}; use each name once")
    return tuple(names)


def _find(folder: Path, name: str) -> Path:
    """Return the path of an IDX file, gzipped or not."""
    paths = _existing_paths(folder, name)
    if not paths:
        raise DatasetError(f"{folder} lacks {name} (or {name}.gz); add the file")
    return paths[0]


def _existing_paths(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name, folder / f"{name}.gz") if path.exists()]
