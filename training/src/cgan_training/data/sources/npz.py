"""Load a dataset from a .npz file with the keys of MedMNIST, or of Keras' mnist.npz.

    train_images  [n, height, width] or [n, height, width, 3]       or x_train
    train_labels  [n] or [n, 1]                                     or y_train
    test_images, test_labels                                        or x_test, y_test

Without these test arrays, val_images and val_labels are the test part. Without both, a tenth of
each class is held out. classes.txt beside the file may hold the class names. MedMNIST: Yang et al.
2023, "MedMNIST v2".
"""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from cgan_training.data.arrays import Array, to_images, to_labels
from cgan_training.data.class_names import CLASSES, read_class_names
from cgan_training.data.dataset import (
    Dataset,
    check_labels,
    dataset_name_from_path,
    numbered_class_names,
    require_all_classes,
)
from cgan_training.data.files.idx import MAX_ARRAY_BYTES
from cgan_training.data.held_out import choose_test_names, held_out_note
from cgan_training.errors import DatasetError, one_line
from cgan_training.input_files import open_input, read_up_to

TRAIN_KEYS = (("train_images", "train_labels"), ("x_train", "y_train"))
TEST_KEYS = (("test_images", "test_labels"), ("x_test", "y_test"), ("val_images", "val_labels"))
NUMBERS = "uifb"  # dtype.kind of the supported arrays
REMEDY = "save it again with numpy.savez_compressed"


def load(path: Path, *, train: bool = True) -> Dataset:
    """Load a file for load_dataset(); the file's name becomes the dataset's name."""
    try:
        with open_input(path) as file, zipfile.ZipFile(file) as archive:
            return _load(path, archive, train=train)
    except DatasetError:
        raise
    except Exception as error:  # zipfile and numpy raise many types for damaged files
        if isinstance(error, OSError) and error.strerror:
            advice = "check the path given as --dataset"
            raise DatasetError(f"cannot read {path}: {error.strerror}; {advice}") from error
        raise DatasetError(
            f"{path} is not a .npz file, or is damaged ({one_line(error)}); {REMEDY}"
        ) from error


def has_test_part(path: Path) -> bool:
    """Return whether a valid file holds test arrays."""
    with open_input(path) as file, zipfile.ZipFile(file) as archive:
        return _find(archive, TEST_KEYS) is not None


def _load(path: Path, archive: zipfile.ZipFile, *, train: bool) -> Dataset:
    train_keys, test_keys = _find(archive, TRAIN_KEYS), _find(archive, TEST_KEYS)
    if train_keys is None:
        names = ", ".join(map(ascii, sorted(archive.namelist())[:8])) or "nothing"
        raise DatasetError(
            f"{path} lacks the arrays train_images and train_labels (it holds {names}); {REMEDY}"
        )
    keys = train_keys if train else test_keys or train_keys
    labels = to_labels(_read(path, archive, train_keys[1]), f"{train_keys[1]} in {path}")
    names_path = path.with_name(CLASSES)
    class_names = read_class_names(names_path) or numbered_class_names(labels.clamp_min(0))
    numbers, train_numbers = _read(path, archive, keys[0]), None
    if keys != train_keys:
        labels = to_labels(_read(path, archive, keys[1]), f"{keys[1]} in {path}")
        if numbers.dtype != np.uint8:  # test images are scaled like the training images
            train_numbers = _read(path, archive, train_keys[0])
    images = to_images(numbers, path, train_numbers)
    notes: tuple[str, ...] = ()
    if len(images) != len(labels):
        raise DatasetError(
            f"{path} has {len(images):,} images but {len(labels):,} labels; {REMEDY}"
        )
    if test_keys is None:
        test = _held_out_rows(labels)
        rows = ~test if train else test
        images, labels = images[rows], labels[rows]
        notes = (held_out_note(int(test.sum()), len(test)),)
    remedy = f"correct the label, or list all class names in {names_path}"
    check_labels(labels, len(class_names), path, remedy)
    require_all_classes(labels, class_names, path, train=train, remedy="renumber the labels from 0")
    return Dataset(
        dataset_name_from_path(path), str(path), images, labels, class_names, notes=notes
    )


def _held_out_rows(labels: Tensor) -> Tensor:
    """Return which images become the test part, bool [n]."""
    rows = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        names = [str(row) for row in (labels == label).nonzero().flatten().tolist()]
        rows[[int(name) for name in choose_test_names(names)]] = True
    return rows


def _find(archive: zipfile.ZipFile, choices: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    """Return the names of the first pair of arrays that the file holds."""
    members = {*archive.namelist()}
    return next((pair for pair in choices if {f"{key}.npy" for key in pair} <= members), None)


def _read(path: Path, archive: zipfile.ZipFile, key: str) -> Array:
    """Read an array, at most one byte more than its header declares."""
    with archive.open(f"{key}.npy") as stream:
        shape, is_fortran, dtype = _read_header(stream)
        if dtype.kind not in NUMBERS:
            raise DatasetError(f"{key} in {path} holds {dtype}, expected numbers; {REMEDY}")
        size = math.prod(shape) * dtype.itemsize
        if size > MAX_ARRAY_BYTES:
            raise DatasetError(
                f"{key} in {path} may have at most {MAX_ARRAY_BYTES:,} bytes, but its header "
                f"declares {size:,}; save fewer or smaller images"
            )
        content = read_up_to(stream, size + 1)
    if len(content) != size:
        raise DatasetError(
            f"{key} in {path} has {len(content):,} bytes or more, but its header declares "
            f"{size:,}; {REMEDY}"
        )
    if 0 in shape:
        raise DatasetError(f"{key} in {path} is empty; {REMEDY}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return read(stream)
