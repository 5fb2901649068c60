"""MNIST and the sets made after it: torchvision downloads them, idx.py reads them.

torchvision reads a truncated file without a word, or ends in an assertion; so each file is read
and checked here, and torchvision is only asked where one is missing.
"""

import hashlib
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from torch import Tensor

from cgan_training.data.dataset import Dataset
from cgan_training.data.idx import check_labels, in_words, read_idx, read_images, read_labels
from cgan_training.data.torchvision_ops import import_torchvision_datasets
from cgan_training.errors import DatasetError

CONNECT_SECONDS = 15  # a network that answers nothing must not hold a run up
DIGITS = tuple("0123456789")
SIDE = 28  # pixels of an image, in every one of the sets
REMEDY = "delete it and it is downloaded again"


class UnreachableError(DatasetError):
    """A data set is not on disk and cannot be downloaded."""


@dataclass(frozen=True)
class Part:
    """The training or the test part: its two files, unpacked, and how many images they hold."""

    images: str
    labels: str
    count: int


MNISTS_TRAIN = Part("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 60_000)
MNISTS_TEST = Part("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10_000)


@dataclass(frozen=True)
class TorchvisionSet:
    """One data set that torchvision knows."""

    title: str  # as its authors write it
    class_name: str  # of torchvision's class, and of its folder in the root
    train: Part = MNISTS_TRAIN
    test: Part = MNISTS_TEST
    class_names: tuple[str, ...] | None = None  # None: torchvision's
    label_fields: int | None = None  # int32 numbers a label, the class first; None: one uint8
    md5: Mapping[str, str] = field(default_factory=dict)  # of the unpacked files, where known


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
        train=Part("qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int", 60_000),
        test=Part("qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int", 60_000),
        class_names=DIGITS,
        label_fields=8,
    ),
}


def load(name: str, data_dir: Path, *, train: bool = True) -> Dataset:
    """Load the training or the test part of a set, downloading it if need be.

    Args:
        name: a key of SETS.
        data_dir: torchvision's root: MNIST's files lie in data_dir/MNIST/raw, and so on.
        train: the training part, or the test part.

    Raises:
        UnreachableError: it is not there and cannot be downloaded.
        DatasetError: a file is truncated or is not the set's.
    """
    known = SETS[name]
    part = known.train if train else known.test
    raw = data_dir / known.class_name / "raw"
    if not all((raw / file).exists() for file in (part.images, part.labels)):
        _download(known, part, data_dir, raw, train=train)
    images = _images(raw / part.images, known, part)
    labels = _labels(raw / part.labels, known, part)
    class_names = known.class_names or tuple(_torchvision_class(known).classes)
    check_labels(labels, len(class_names), raw / part.labels, REMEDY)
    return Dataset(name, f"{known.title} in {raw}", images, labels, class_names)


def _images(path: Path, known: TorchvisionSet, part: Part) -> Tensor:
    """Read uint8 [n, 1, 28, 28]."""
    images = read_images(path, REMEDY)
    _check(path, images[:, 0], [part.count, SIDE, SIDE], known)
    return images


def _labels(path: Path, known: TorchvisionSet, part: Part) -> Tensor:
    """Read int64 [n]."""
    if known.label_fields is None:
        labels = read_labels(path, REMEDY)
        _check(path, labels, [part.count], known)
        return labels
    fields = read_idx(path, "int32", 2, REMEDY)  # [n, fields]
    _check(path, fields, [part.count, known.label_fields], known)
    return fields[:, 0].long()


def _check(path: Path, numbers: Tensor, shape: list[int], known: TorchvisionSet) -> None:
    """Refuse a file of another shape than the set's or, where its md5 is known, other content."""
    if list(numbers.shape) != shape:
        raise DatasetError(
            f"{path} holds {in_words(list(numbers.shape))} numbers where {known.title} has "
            f"{in_words(shape)}; {REMEDY}"
        )
    md5 = known.md5.get(path.name)
    if md5 and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
        raise DatasetError(f"{path} is not {known.title}'s file (its md5 is not {md5}); {REMEDY}")


def _torchvision_class(known: TorchvisionSet) -> Any:
    return getattr(import_torchvision_datasets(), known.class_name)


def _download(known: TorchvisionSet, part: Part, data_dir: Path, raw: Path, *, train: bool) -> None:
    with _bounded_waiting():
        try:
            _torchvision_class(known)(str(data_dir), train=train, download=True)
        except (OSError, RuntimeError, EOFError, HTTPException) as error:
            raise UnreachableError(
                f"{known.title} is not in {raw} and cannot be downloaded ({_first_line(error)}); "
                f"put {part.images} and {part.labels} there, or give their torchvision root as "
                "--data-dir"
            ) from error


@contextmanager
def _bounded_waiting() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(":")
