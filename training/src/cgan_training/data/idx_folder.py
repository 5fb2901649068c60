"""A data set of your own: a folder of IDX files in MNIST's layout.

    train-images-idx3-ubyte    uint8 [n, height, width], 0 background .. 255 ink
    train-labels-idx1-ubyte    uint8 [n]
    t10k-images-idx3-ubyte     the test part, which may be missing
    t10k-labels-idx1-ubyte
    classes.txt                a class name a line, in UTF-8; without it names are "0", "1", ...

Each IDX file may be gzipped, and is then named .gz.
"""

import os
from pathlib import Path

from torch import Tensor

from cgan_training.data.dataset import Dataset
from cgan_training.data.idx import check_labels, read_images, read_labels
from cgan_training.errors import DatasetError

IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"
TRAIN, TEST = "train", "t10k"
CLASSES = "classes.txt"


def load(folder: Path, *, train: bool = True) -> Dataset:
    """Load the training or the test part of a folder.

    Args:
        folder: where the files lie; its name is the data set's.
        train: the training part, or the test part.

    Raises:
        DatasetError: a file is missing, damaged, or does not fit the others; or there is no test
            part.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - a name too long is no folder, and no error
        raise DatasetError(f"there is no folder {folder}; check the path given as --dataset")
    part = TRAIN if train else TEST
    names = [each.format(part) for each in (IMAGES, LABELS)]
    if not train and not any(_places(folder, name) for name in names):
        raise DatasetError(f"{folder} holds no test part; add {names[0]} and {names[1]}")
    images_path, labels_path = (_find(folder, name) for name in names)
    images, labels = read_images(images_path), read_labels(labels_path)
    if len(images) != len(labels):
        raise DatasetError(
            f"{images_path} holds {len(images):,} images but {labels_path} {len(labels):,} labels; "
            "give each image one label"
        )
    class_names = _class_names(folder, labels if train else None)
    check_labels(labels, len(class_names), labels_path, f"correct it, or list more in {CLASSES}")
    return Dataset(
        name=_printable(folder.resolve().name),
        source=f"IDX files in {folder}",
        images=images,
        labels=labels,
        class_names=class_names,
    )


def _class_names(folder: Path, train_labels: Tensor | None) -> tuple[str, ...]:
    """Return the names in classes.txt, otherwise a number for each label up to training's last."""
    path = folder / CLASSES
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin UTF-8 with a mark
    except FileNotFoundError:
        if train_labels is None:
            train_labels = read_labels(_find(folder, LABELS.format(TRAIN)))
        return tuple(str(label) for label in range(int(train_labels.max()) + 1))
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; check its rights") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    names = [line.strip() for line in text.removesuffix("\n").split("\n")]
    for number, name in enumerate(names, 1):
        if not name or not name.isprintable():
            what = "unprintable" if name else "empty"
            raise DatasetError(f"line {number} of {path} is {what}; write a class name a line")
        if name in names[: number - 1]:
            raise DatasetError(
                f"line {number} of {path} names the class {name!r} again; each needs its own name"
            )
    return tuple(names)


def _printable(name: str) -> str:
    """Return a name that a model can be given: JSON and pictures take no halves of letters."""
    return "".join(letter if letter.isprintable() else "-" for letter in name)


def _find(folder: Path, name: str) -> Path:
    """Return the path of an IDX file, gzipped or not."""
    places = _places(folder, name)
    if not places:
        raise DatasetError(f"{folder} lacks {name} (or {name}.gz); put it there")
    return places[0]


def _places(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name, folder / f"{name}.gz") if path.exists()]
