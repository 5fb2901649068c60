"""Load MNIST and similar datasets: torchvision downloads the files, idx.py reads them."""

import hashlib
import string
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from cgan_training.data.class_names import CLASSES
from cgan_training.data.dataset import Dataset, check_labels
from cgan_training.data.files.idx import find_idx, read_equal_files, read_idx
from cgan_training.data.sources.download import REMEDY, download, torchvision_class
from cgan_training.errors import DatasetError

DIGITS = tuple("0123456789")
SIDE = 28  # height and width of the images of every dataset here, in pixels
GENERATED_REMEDY = "cgan-run wrote this folder; give --dataset {}, or another --data-dir"
# Letters whose upper and lower case look alike and are one class in EMNIST.
MERGED = "cijklmopsuvwxyz"
UNMERGED = "".join(letter for letter in string.ascii_lowercase if letter not in MERGED)


@dataclass(frozen=True)
class PartFiles:
    """The IDX files of the training part or the test part of a dataset."""

    images: str  # file name
    labels: str  # file name
    count: int | None  # number of images; None: any number


@dataclass(frozen=True)
class TorchvisionSet:
    """A dataset that torchvision can download."""

    title: str  # name of the dataset as its authors write it
    class_name: str  # name of torchvision's class and of the dataset's folder
    train: PartFiles = PartFiles("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 60_000)
    test: PartFiles = PartFiles("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10_000)
    class_names: tuple[str, ...] | None = None  # None: the names in torchvision's class
    label_fields: int | None = (
        None  # int32 numbers per label, of which the first is the class; None: one uint8
    )
    first_label: int = 0  # label of the first class in the files
    is_transposed: bool = False  # rows and columns are swapped in the files
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of torchvision's class
    md5: Mapping[str, str] = field(default_factory=dict)  # known MD5s by file name


def _emnist(split: str, class_names: str, first_label: int = 0) -> TorchvisionSet:
    """Return a split of EMNIST (Cohen et al. 2017). `class_names` has the order of its labels."""
    train, test = (
        # Any number of images: two releases differ in the number of letters.
        PartFiles(f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte", count=None)
        for prefix in (f"emnist-{split}-train", f"emnist-{split}-test")
    )
    return TorchvisionSet(
        title=f"EMNIST {split}",
        class_name="EMNIST",
        train=train,
        test=test,
        class_names=tuple(class_names),
        first_label=first_label,
        is_transposed=True,
        arguments={"split": split},
    )


SETS = {
    "mnist": TorchvisionSet(  # LeCun, Cortes & Burges
        title="MNIST",
        class_name="MNIST",
        class_names=DIGITS,
        md5={
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    ),
    "fashion-mnist": TorchvisionSet("Fashion-MNIST", "FashionMNIST"),  # Xiao, Rasul & Vollgraf 2017
    "kmnist": TorchvisionSet("Kuzushiji-MNIST", "KMNIST"),  # Clanuwat et al. 2018
    "qmnist": TorchvisionSet(  # Yadav & Bottou 2019: MNIST with its 50,000 lost test images
        title="QMNIST",
        class_name="QMNIST",
        train=PartFiles("qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int", 60_000),
        test=PartFiles("qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int", 60_000),
        class_names=DIGITS,
        label_fields=8,
    ),
    "emnist-balanced": _emnist("balanced", string.digits + string.ascii_uppercase + UNMERGED),
    "emnist-bymerge": _emnist("bymerge", string.digits + string.ascii_uppercase + UNMERGED),
    "emnist-byclass": _emnist("byclass", string.digits + string.ascii_letters.swapcase()),
    "emnist-digits": _emnist("digits", string.digits),
    "emnist-letters": _emnist("letters", string.ascii_lowercase, first_label=1),
    "emnist-mnist": _emnist("mnist", string.digits),
}


def load(name: str, data_dir: Path, *, train: bool = True) -> Dataset:
    """Load a dataset of SETS for load_dataset(); download it first if it is missing.

    Raises:
        DownloadError: the dataset is missing and cannot be downloaded.
        DatasetError: a file is damaged.
    """
    dataset = SETS[name]
    part = dataset.train if train else dataset.test
    raw = data_dir / dataset.class_name / "raw"
    is_generated = (raw / CLASSES).exists()
    remedy = GENERATED_REMEDY.format(data_dir) if is_generated else REMEDY
    if not find_idx(raw, part.images) or not find_idx(raw, part.labels):
        if is_generated:
            raise DatasetError(f"{raw} holds a generated dataset, not {dataset.title}; {remedy}")
        needed = f"{part.images} and {part.labels}"
        arguments = {**dataset.arguments, "train": train}
        download(dataset.class_name, dataset.title, data_dir, raw, needed, **arguments)
    image_md5, label_md5 = map(dataset.md5.get, (part.images, part.labels))
    images = _read(raw, part.images, "uint8", [part.count, SIDE, SIDE], image_md5, remedy)
    count = len(images)
    if dataset.label_fields is None:
        labels = _read(raw, part.labels, "uint8", [count], label_md5, remedy)
    else:
        shape = [count, dataset.label_fields]
        labels = _read(raw, part.labels, "int32", shape, label_md5, remedy)[:, 0]
    labels = labels.long() - dataset.first_label
    if dataset.is_transposed:
        images = images.transpose(1, 2).contiguous()
    class_names = dataset.class_names or tuple(torchvision_class(dataset.class_name).classes)
    check_labels(labels, len(class_names), raw / part.labels, remedy)
    source = f"{dataset.title} in {raw}"
    return Dataset(name, source, images.unsqueeze(1), labels, class_names)


def _read(
    raw: Path,
    name: str,
    dtype: str,
    shape: Sequence[int | None],
    md5: str | None,
    remedy: str,
) -> Tensor:
    """Read a file, and check its shape and, if it is known, its MD5."""
    paths = find_idx(raw, name)
    if md5 is None:
        return read_equal_files(paths, dtype, shape, remedy)
    numbers = read_idx(paths[0], dtype, shape, remedy)
    header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *numbers.shape)
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(numbers.numpy().data)
    if digest.hexdigest() != md5:
        raise DatasetError(f"{paths[0]} is not the original file (its MD5 is not {md5}); {remedy}")
    return numbers
