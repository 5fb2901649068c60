"""Archives that torch.save() wrote, and changes of them."""

import io
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from cgan_training.archive import ArchiveError, load_archive

VALUES: dict[str, Any] = {
    "numbers": [1, -1, 2**40, 10**20, 0.5, True, False, None],
    "text": "große Ziffern \N{DIGIT ZERO}",
    "pair": (1, "a"),
    "ordered": OrderedDict(a=1, b=torch.arange(3)),
    "weights": torch.randn(4, 3),
    "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "scalar": torch.tensor(3.0),
    "none": torch.empty(0, 5),
}
WEIGHTS = VALUES["weights"].numpy().tobytes()


def error_of(path: Path) -> str:
    with pytest.raises(ArchiveError) as caught:
        load_archive(path)
    return str(caught.value)


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def rewrite_archive(path: Path, parts: dict[str, bytes], **options: Any) -> None:
    """Replace entries of an archive, which are given without their first folder."""
    content = {name.partition("/")[2]: part for name, part in entries_of(path).items()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, part in (content | parts).items():
            archive.writestr(f"values/{name}", part)
