"""The in-memory dataset."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgan_training.errors import DatasetError

if TYPE_CHECKING:  # the command line imports this package before it needs torch
    from torch import Tensor


@dataclass(frozen=True)
class Dataset:
    """Labeled gray images in memory.

    Raises:
        DatasetError: there are no images, their number differs from the number of labels, or a
            label is out of range.
    """

    name: str  # as given to --dataset; the last part of a folder's path
    source: str  # where the images came from, for messages
    images: "Tensor"  # uint8 [n, 1, height, width], 0 (background) to 255 (foreground)
    labels: "Tensor"  # int64 [n], 0 <= label < classes
    class_names: tuple[str, ...]  # one per label

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels) or len(self.labels) == 0:
            raise DatasetError(
                f"{self.source}: {len(self.images)} images but {len(self.labels)} labels; "
                "provide one label per image, and at least one image"
            )
        if int(self.labels.min()) < 0 or int(self.labels.max()) >= self.classes:
            raise DatasetError(
                f"{self.source}: labels range from {int(self.labels.min())} to "
                f"{int(self.labels.max())}; they must be 0 to {self.classes - 1}"
            )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def height(self) -> int:
        """Image height in pixels."""
        return int(self.images.shape[2])

    @property
    def width(self) -> int:
        """Image width in pixels."""
        return int(self.images.shape[3])
