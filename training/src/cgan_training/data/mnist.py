"""MNIST (LeCun, Cortes & Burges), read and downloaded by torchvision."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from cgan_training.data.dataset import Dataset
from cgan_training.data.torchvision_ops import import_torchvision_datasets
from cgan_training.errors import DatasetError

# Bytes and md5 of the four files, unpacked, in torchvision's MNIST/raw folder.
FILES = {
    "train-images-idx3-ubyte": (47_040_016, "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": (60_008, "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": (7_840_016, "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": (10_008, "27ae3e4e09519cfbb04c329615203637"),
}
CONNECT_SECONDS = 15  # a network that answers nothing must not hold a run up


class UnreachableError(DatasetError):
    """MNIST is not on disk and cannot be downloaded."""


def load(data_dir: Path, *, train: bool = True) -> Dataset:
    """Load MNIST's 60,000 training or 10,000 test images, downloading them if need be.

    Args:
        data_dir: torchvision's root: the files lie in data_dir/MNIST/raw.
        train: the training part, or the test part.

    Raises:
        UnreachableError: it is not there and cannot be downloaded.
        DatasetError: a file is truncated or is not MNIST's.
    """
    raw = data_dir / "MNIST" / "raw"
    datasets = import_torchvision_datasets()
    if not all((raw / name).exists() for name in FILES):
        with _bounded_waiting():
            try:
                datasets.MNIST(str(data_dir), download=True)
            except (OSError, RuntimeError, EOFError) as error:
                raise UnreachableError(
                    f"MNIST is not in {raw} and cannot be downloaded ({_first_line(error)}); "
                    "put its four files there, or give their torchvision root as --data-dir"
                ) from error
    for name, (size, md5) in FILES.items():
        _check(raw / name, size, md5)
    split = datasets.MNIST(str(data_dir), train=train, download=False)
    return Dataset(
        name="mnist",
        source=f"MNIST in {raw}",
        images=split.data.unsqueeze(1).contiguous(),
        labels=split.targets.to(torch.int64),
        class_names=tuple("0123456789"),
    )


def _check(path: Path, size: int, md5: str) -> None:
    """Refuse a file that is not, byte for byte, MNIST's."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; check its rights") from error
    if len(content) != size:
        raise DatasetError(
            f"{path} has {len(content):,} bytes where MNIST has {size:,}; "
            "delete it and it is downloaded again"
        )
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise DatasetError(
            f"{path} is not MNIST's file (its md5 is not {md5}); "
            "delete it and it is downloaded again"
        )


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
