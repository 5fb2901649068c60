"""What a data set is, and how one is found by name."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgan_training.errors import DatasetError

if TYPE_CHECKING:  # the command reads names before it knows that it needs torch
    from torch import Tensor


@dataclass(frozen=True)
class Dataset:
    """Labelled grey images in memory.

    Raises:
        DatasetError: images and labels do not fit each other.
    """

    name: str  # as --dataset spells it; of a folder, its last part
    source: str  # where the images came from, in words
    images: "Tensor"  # uint8 [n, 1, height, width], 0 background .. 255 ink
    labels: "Tensor"  # int64 [n], 0 <= label < classes
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
