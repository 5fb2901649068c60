"""Load MNIST and similar datasets: torchvision downloads the files, idx.py reads them.

torchvision reads truncated files silently or fails with an assertion. Therefore each file is read
and checked here, and torchvision is used only to download missing files.
"""

import hashlib
import importlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from cgan_training.data.dataset import Dataset, check_labels
from cgan_training.data.idx import format_shape, read_idx, read_images, read_labels
from cgan_training.errors import DatasetError

DOWNLOAD_TIMEOUT = 15  # seconds without an answer
DIGITS = tuple("0123456789")
SIDE = 28  # height and width of the images of every dataset here, in pixels
REMEDY = "delete the file to download it again"
OPERATOR_ARGUMENTS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_libraries: list[torch.library.Library] = []  # keeps the declarations alive


class DownloadError(DatasetError):
    """A dataset is not on disk and cannot be downloaded."""


@dataclass(frozen=True)
class Part:
    """The training or the test part of a dataset: two uncompressed IDX files."""

    images: str  # file name
    labels: str  # file name
    count: int  # of images


@dataclass(frozen=True)
class TorchvisionSet:
    """A dataset that torchvision can download."""

    title: str  # as its authors write it
    class_name: str  # of torchvision's class, and of the dataset's folder
    train: Part = Part("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 60_000)
    test: Part = Part("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10_000)
    class_names: tuple[str, ...] | None = None  # None: those of torchvision's class
    label_fields: int | None = None  # int32 fields per label, the class first; None: one uint8
    md5: Mapping[str, str] = field(default_factory=dict)  # by file name; checked if present


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
    """Load a dataset of SETS for load_dataset(); download it first if it is missing.

    Raises:
        DownloadError: it is missing and cannot be downloaded.
        DatasetError: a file is damaged.
    """
    dataset = SETS[name]
    part = dataset.train if train else dataset.test
    raw = data_dir / dataset.class_name / "raw"
    images_path, labels_path = raw / part.images, raw / part.labels
    if not images_path.exists() or not labels_path.exists():
        _download(dataset, part, data_dir, train=train)
    images = read_images(images_path, REMEDY)
    _check(images_path, images[:, 0], [part.count, SIDE, SIDE], dataset)
    if dataset.label_fields is None:
        labels = read_labels(labels_path, REMEDY)
        _check(labels_path, labels, [part.count], dataset)
    else:
        fields = read_idx(labels_path, "int32", 2, REMEDY)
        _check(labels_path, fields, [part.count, dataset.label_fields], dataset)
        labels = fields[:, 0].long()
    class_names = dataset.class_names or tuple(_torchvision_class(dataset).classes)
    check_labels(labels, len(class_names), labels_path, REMEDY)
    return Dataset(name, f"{dataset.title} in {raw}", images, labels, class_names)


def import_torchvision_datasets() -> ModuleType:
    """Import torchvision.datasets, even if torchvision was built for a different torch.

    PyPI's torchvision wheel is built for CUDA. With a CPU build of torch its compiled operators do
    not load. The import then fails with "operator torchvision::nms does not exist", because one of
    its modules registers a fake implementation of that operator. Datasets do not use the operators,
    so it is enough to declare them.

    Raises:
        ImportError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision.datasets")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}{OPERATOR_ARGUMENTS}")
    _libraries.append(library)
    return importlib.import_module("torchvision.datasets")


def _check(path: Path, numbers: Tensor, shape: list[int], dataset: TorchvisionSet) -> None:
    """Check the shape of a file's content and, if it is known, the MD5 of the file."""
    if list(numbers.shape) != shape:
        raise DatasetError(
            f"{path} holds {format_shape(numbers.shape)} numbers, but {dataset.title} has "
            f"{format_shape(shape)}; {REMEDY}"
        )
    md5 = dataset.md5.get(path.name)
    if md5 and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
        raise DatasetError(f"{path} is not {dataset.title}'s file (its MD5 is not {md5}); {REMEDY}")


def _torchvision_class(dataset: TorchvisionSet) -> Any:
    return getattr(import_torchvision_datasets(), dataset.class_name)


def _download(dataset: TorchvisionSet, part: Part, data_dir: Path, *, train: bool) -> None:
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        _torchvision_class(dataset)(str(data_dir), train=train, download=True)
    except (OSError, RuntimeError, EOFError, HTTPException) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(":")
        raise DownloadError(
            f"{dataset.title} is not in {data_dir / dataset.class_name / 'raw'} and cannot be "
            f"downloaded ({reason}); put {part.images} and {part.labels} there, or give their "
            "torchvision root as --data-dir"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
