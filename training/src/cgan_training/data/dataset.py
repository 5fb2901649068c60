"""What a data set is, and how one is found by name."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cgan_training.errors import DatasetError

DATASETS = ("auto", "mnist", "optdigits")


@dataclass(frozen=True)
class Dataset:
    """Labelled grey images in memory.

    Raises:
        DatasetError: images and labels do not fit each other.
    """

    name: str  # as --dataset spells it
    source: str  # where the images came from, in words
    images: Tensor  # uint8 [n, 1, height, width], 0 background .. 255 ink
    labels: Tensor  # int64 [n], 0 <= label < classes
    class_names: tuple[str, ...]  # one a label

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels) or len(self.labels) == 0:
            raise DatasetError(
                f"{self.source}: {len(self.images)} images but {len(self.labels)} labels; "
                "both must be there, one label an image"
            )
        if int(self.labels.min()) < 0 or int(self.labels.max()) >= self.classes:
            raise DatasetError(
                f"{self.source}: labels run from {int(self.labels.min())} to "
                f"{int(self.labels.max())}; they must be 0 to {self.classes - 1}"
            )

    @property
    def classes(self) -> int:
        """Number of labels."""
        return len(self.class_names)

    @property
    def height(self) -> int:
        """Of an image, in pixels."""
        return int(self.images.shape[2])

    @property
    def width(self) -> int:
        """Of an image, in pixels."""
        return int(self.images.shape[3])


def load_dataset(name: str, data_dir: Path, *, train: bool = True) -> tuple[Dataset, str | None]:
    """Load a data set by name.

    Args:
        name: "mnist", "optdigits", or "auto": MNIST where it is on disk or can be had,
            otherwise optdigits.
        data_dir: torchvision's root; MNIST lies, or is put, in its folder MNIST/raw.
        train: the training part, or the part held out for tests.

    Returns:
        The data set, and why it is not MNIST when "auto" had to settle for optdigits.

    Raises:
        DatasetError: it cannot be had, or a file is truncated or wrong.
    """
    from cgan_training.data import mnist, optdigits

    if name == "optdigits":
        return optdigits.load(train=train), None
    if name == "mnist":
        return mnist.load(data_dir, train=train), None
    if name == "auto":
        try:
            return mnist.load(data_dir, train=train), None
        except mnist.UnreachableError as error:
            return optdigits.load(train=train), str(error)
    raise DatasetError(f"no data set {name!r}; choose one of {', '.join(DATASETS)}")
