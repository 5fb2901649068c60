"""The in-memory dataset."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.data.conversion import NO_CONVERSION, Conversion
from cgan_training.errors import DatasetError

if TYPE_CHECKING:  # the command line imports this package before it needs torch
    from torch import Tensor


class TooFewTestImagesError(DatasetError):
    """There are too few test images for an evaluation. Training is still possible."""


@dataclass(frozen=True)
class Dataset:
    """Labeled images in memory.

    Raises:
        DatasetError: there are no images, their number differs from the number of labels, or a
            label is out of range.
    """

    name: str  # of a built-in dataset or of a user's function; for a path, its last part
    source: str  # where the images came from, for messages
    images: "Tensor"  # uint8 [n, channels, height, width]; channels 1 (gray) or 3 (RGB)
    labels: "Tensor"  # int64 [n], 0 <= label < classes
    class_names: tuple[str, ...]  # one per label
    conversion: Conversion = NO_CONVERSION  # the conversion that was applied to the images
    notes: tuple[str, ...] = ()  # what loading changed or ignored, for the user

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels) or len(self.labels) == 0:
            raise DatasetError(
                f"{self.source}: {len(self.images)} images but {len(self.labels)} labels; "
                "provide one label per image, and at least one image"
            )
        check_labels(self.labels, self.classes, self.source, "correct the label, or add names")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of images, labels and class names. It does not depend on where they come from."""
        digest = hashlib.sha256()
        for tensor in (self.images, self.labels):
            digest.update(f"{tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy().data)
        digest.update(json.dumps(self.class_names).encode())
        return digest.hexdigest()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def image_shape(self) -> ImageShape:
        """Channels, height and width of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width


def dataset_name_from_path(path: Path) -> str:
    """Return the name of the dataset at a path: the last part of the path, printable."""
    return "".join(char if char.isprintable() else "-" for char in path.resolve().name)


def numbered_class_names(labels: "Tensor") -> tuple[str, ...]:
    """Return class names for labels without names: "0", "1", ..."""
    return tuple(str(label) for label in range(int(labels.max()) + 1))


def require_all_classes(
    labels: "Tensor", class_names: tuple[str, ...], source: str | Path, *, train: bool, remedy: str
) -> None:
    """Check that every class has an image.

    For a class without training images, a generator would produce only noise. An evaluation cannot
    measure a class without test images. `remedy` ends the error message about training images.

    Raises:
        DatasetError: a class has no training images.
        TooFewTestImagesError: a class has no test images, and `train` is false.
    """
    counts = labels.bincount(minlength=len(class_names))
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        name = class_names[missing[0]]
        if not train:
            raise TooFewTestImagesError(f"class {name!r} has no test images in {source}; add some")
        raise DatasetError(
            f"class {name!r} has no training images in {source}; add some, or {remedy}"
        )


def check_labels(labels: "Tensor", classes: int, source: str | Path, remedy: str) -> None:
    """Raise a DatasetError with the source unless every label is in 0 <= label < classes."""
    invalid = labels[(labels < 0) | (labels >= classes)]
    if len(invalid):
        raise DatasetError(
            f"{source} holds the label {int(invalid[0])}, but {classes} classes allow 0 to "
            f"{classes - 1}; {remedy}"
        )
