"""Download datasets with torchvision, and read files whose MD5 is known.

torchvision reads truncated files silently or fails with an assertion. Therefore each file is read
and checked here, and torchvision is used only to download missing files.
"""

import hashlib
import importlib
import io
import logging
import re
import shlex
import socket
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stderr
from http.client import HTTPException
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from cgan_runtime.errors import printable
from cgan_training.errors import DatasetError
from cgan_training.input_files import read_bounded

DOWNLOAD_TIMEOUT = 15  # seconds to wait for an answer
REMEDY = "delete the file to download it again"
# torchvision writes lines that begin with these words above the reasons of an error.
HEADINGS = ("Error downloading", "Tried ")
CORRUPTED = "File not found or corrupted."  # torchvision reports a wrong MD5 with this text
MAX_REASON = 200  # largest number of characters
MAX_FILE_BYTES = 2**28
OPERATOR_ARGUMENTS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_logger = logging.getLogger(__name__)
_libraries: list[torch.library.Library] = []  # keeps the declarations alive


class DownloadError(DatasetError):
    """A dataset is not on disk and cannot be downloaded."""


def download(
    class_name: str, title: str, data_dir: Path, folder: Path, needed: str, **arguments: Any
) -> None:
    """Download a dataset. torchvision shows a progress bar on stderr if INFO messages are logged.

    Args:
        class_name: the name of torchvision's class.
        title: the dataset's name, for messages.
        data_dir: the root folder of torchvision's datasets.
        folder: where torchvision puts the files.
        needed: the names of the missing files, for messages.
        arguments: keyword arguments of torchvision's class, such as train=True.

    Raises:
        DatasetError: data_dir is inside the root folder, for example ROOT/MNIST/raw.
        DownloadError: the dataset cannot be downloaded.
    """
    _require_root(data_dir, folder, title)
    before = {*folder.glob("*.gz")}
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    shows_progress = _logger.isEnabledFor(logging.INFO)
    try:
        with nullcontext() if shows_progress else redirect_stderr(io.StringIO()):
            torchvision_class(class_name)(str(data_dir), download=True, **arguments)
    except (OSError, RuntimeError, EOFError, HTTPException, ValueError) as error:
        reason = _download_problem(error, [*{*folder.glob("*.gz")} - before])
        raise DownloadError(
            f"{title} is not in {folder} and cannot be downloaded ({reason}); put {needed} "
            f"there, or give the folder that contains {folder.relative_to(data_dir)} as --data-dir"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
        for path in {*folder.glob("*.gz")} - before:
            if not path.with_suffix("").exists():  # an incomplete download, or another file
                path.unlink()


def _require_root(data_dir: Path, folder: Path, title: str) -> None:
    """Raise DatasetError if data_dir is inside the dataset's folder, such as ROOT/MNIST/raw."""
    parts = folder.relative_to(data_dir).parts
    place = data_dir.absolute()
    for depth, root in enumerate(place.parents[: len(parts)], 1):
        if place.parts[-depth:] == parts[:depth] and root.joinpath(*parts).is_dir():
            raise DatasetError(
                f"{data_dir} is below the root folder of {title}; give --data-dir "
                f"{shlex.quote(str(root))}"
            )


def read_original(path: Path, md5: str) -> bytes:
    """Return the content of a file that must have this MD5.

    Raises:
        DatasetError: the file cannot be read, or has another MD5.
    """
    try:
        content = read_bounded(path, MAX_FILE_BYTES)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}; check its permissions"
        raise DatasetError(message) from error
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise DatasetError(f"{path} is not the original file (its MD5 is not {md5}); {REMEDY}")
    return content


def read_or_download(
    class_name: str,
    title: str,
    data_dir: Path,
    folder: Path,
    md5: Mapping[str, str],
    **arguments: Any,
) -> list[bytes]:
    """Return the contents of the files of a folder; `md5` has their names and MD5s.

    If a file is missing, all are downloaded first; see download().
    """
    if not all((folder / name).exists() for name in md5):
        download(class_name, title, data_dir, folder, " and ".join(md5), **arguments)
    return [read_original(folder / name, digest) for name, digest in md5.items()]


def torchvision_class(name: str) -> Any:
    """Return a class of torchvision.datasets."""
    return getattr(import_torchvision_datasets(), name)


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


def _download_problem(error: Exception, files: list[Path]) -> str:
    """Return the reasons of torchvision and urllib, which have several lines, as one short line."""
    for path in files:
        with path.open("rb") as file:
            if file.read(100).lstrip().startswith(b"<"):
                return "the server sent a web page instead of the file, perhaps a login page"
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not line.startswith(HEADINGS)]
    shortened = (re.sub(r"^<urlopen error (.*)>$", r"\1", line) for line in reasons)
    if CORRUPTED in reasons:
        return "the server sent an incomplete or different file"
    # dict.fromkeys() removes repetitions, because mirrors often fail for the same reason.
    reason = printable(", ".join(dict.fromkeys(shortened)))
    return reason[:MAX_REASON] or type(error).__name__
