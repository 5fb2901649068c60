"""Load MNIST and similar datasets: torchvision downloads the files, idx.py reads them.

torchvision reads truncated files silently or fails with an assertion. Therefore each file is read
and checked here, and torchvision is used only to download missing files.
"""

import hashlib
import importlib
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from cgan_runtime.errors import printable
from cgan_training.data.class_names import CLASSES
from cgan_training.data.dataset import Dataset, check_labels
from cgan_training.data.idx import find_idx, read_equal_files, read_idx
from cgan_training.errors import DatasetError

DOWNLOAD_TIMEOUT = 15  # seconds without an answer
DIGITS = tuple("0123456789")
SIDE = 28  # height and width of the images of every dataset here, in pixels
REMEDY = "delete the file to download it again"
GENERATED_REMEDY = "cgan-run wrote this folder; give --dataset {}, or another --data-dir"
HEADINGS = ("Error downloading", "Tried ")  # of torchvision, above the reasons
CORRUPTED = "File not found or corrupted."  # torchvision: the file has another MD5
MAX_REASON = 200  # characters
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
    is_generated = (raw / CLASSES).exists()
    remedy = GENERATED_REMEDY.format(data_dir) if is_generated else REMEDY
    if not find_idx(raw, part.images) or not find_idx(raw, part.labels):
        if is_generated:
            raise DatasetError(f"{raw} holds a generated dataset, not {dataset.title}; {remedy}")
        _download(dataset, part, data_dir, train=train)
    image_md5, label_md5 = map(dataset.md5.get, (part.images, part.labels))
    shape = [part.count, SIDE, SIDE]
    images = _read(raw, part.images, "uint8", shape, image_md5, remedy)
    if dataset.label_fields is None:
        labels = _read(raw, part.labels, "uint8", [part.count], label_md5, remedy)
    else:
        shape = [part.count, dataset.label_fields]
        labels = _read(raw, part.labels, "int32", shape, label_md5, remedy)[:, 0]
    class_names = dataset.class_names or tuple(_torchvision_class(dataset).classes)
    check_labels(labels, len(class_names), raw / part.labels, remedy)
    source = f"{dataset.title} in {raw}"
    return Dataset(name, source, images.unsqueeze(1), labels.long(), class_names)


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


def _read(
    raw: Path, name: str, dtype: str, shape: list[int], md5: str | None, remedy: str
) -> Tensor:
    """Read a file, and check its shape and, if it is known, its MD5."""
    paths = find_idx(raw, name)
    if md5 is None:
        return read_equal_files(paths, dtype, shape, remedy)
    numbers = read_idx(paths[0], dtype, shape, remedy)
    header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(numbers.numpy().data)
    if digest.hexdigest() != md5:
        raise DatasetError(f"{paths[0]} is not the original file (its MD5 is not {md5}); {remedy}")
    return numbers


def _torchvision_class(dataset: TorchvisionSet) -> Any:
    return getattr(import_torchvision_datasets(), dataset.class_name)


def _download(dataset: TorchvisionSet, part: Part, data_dir: Path, *, train: bool) -> None:
    raw = data_dir / dataset.class_name / "raw"
    before = {*raw.glob("*.gz")}
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        _torchvision_class(dataset)(str(data_dir), train=train, download=True)
    except (OSError, RuntimeError, EOFError, HTTPException, ValueError) as error:
        reason = _download_problem(error, [*{*raw.glob("*.gz")} - before])
        raise DownloadError(
            f"{dataset.title} is not in {raw} and cannot be downloaded ({reason}); put "
            f"{part.images} and {part.labels} there, or give their torchvision root as --data-dir"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
        for path in {*raw.glob("*.gz")} - before:
            if not path.with_suffix("").exists():  # incomplete, or another file
                path.unlink()


def _download_problem(error: Exception, files: list[Path]) -> str:
    """Return the reasons that torchvision and urllib give on several lines, as one short line."""
    for path in files:
        with path.open("rb") as file:
            if file.read(100).lstrip().startswith(b"<"):
                return "a web page came instead of the file, perhaps the login of the network"
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not line.startswith(HEADINGS)]
    shortened = (re.sub(r"^<urlopen error (.*)>$", r"\1", line) for line in reasons)
    # Mirrors often fail for the same reason.
    if CORRUPTED in reasons:
        return "the server sent an incomplete or different file"
    reason = printable(", ".join(dict.fromkeys(shortened)))
    return reason[:MAX_REASON] or type(error).__name__
