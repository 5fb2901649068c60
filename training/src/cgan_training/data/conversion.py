"""The options that convert the images of a dataset to one size and one number of channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MIN_SIDE, MAX_SIDE = 8, 128  # pixels


@dataclass(frozen=True)
class Conversion:
    """How the images of a dataset are converted while they are loaded.

    Images whose proportions differ from image_size are cropped at the center, then resampled with
    Pillow's Lanczos filter. Gray is ITU-R 601 luma, as in Pillow's mode "L".
    """

    image_size: tuple[int, int] | None = None  # height and width in pixels; None keeps the size
    channels: int | None = None  # 1: gray; 3: RGB; None: RGB unless every image is gray

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for config.json and model.pt; defaults are omitted."""
        size = {"image_size": list(self.image_size)} if self.image_size else {}
        return size | ({"grayscale": True} if self.channels == 1 else {})


NO_CONVERSION = Conversion()


def conversion_from_dict(values: Mapping[str, Any]) -> Conversion:
    """Build a conversion from the keys that to_dict() writes. Other keys are ignored.

    Raises:
        ValueError: a value is invalid.
    """
    size, grayscale = values.get("image_size"), values.get("grayscale", False)
    if type(grayscale) is not bool:
        raise ValueError("grayscale must be true or false")
    if size is None:
        return Conversion(None, 1 if grayscale else None)
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(map(is_side, size)):
        raise ValueError("image_size must be a height and a width")
    return Conversion((size[0], size[1]), 1 if grayscale else None)


def parse_image_size(text: str) -> tuple[int, int]:
    """Parse a height and width such as "32" or "32x48".

    Raises:
        ValueError: the text has another form, or a side is outside MIN_SIDE to MAX_SIDE.
    """
    sides = text.lower().split("x")
    if not all(side.isascii() and side.isdigit() and len(side) < 10 for side in sides):
        raise ValueError("it is neither a number nor two numbers with an x between them")
    numbers = [int(side) for side in sides]
    if len(numbers) > 2 or not all(map(is_side, numbers)):
        raise ValueError(f"give one or two sides of {MIN_SIDE} to {MAX_SIDE} pixels")
    return numbers[0], numbers[-1]


def is_side(value: object) -> bool:
    """Return whether a value is a supported height or width in pixels."""
    return type(value) is int and MIN_SIDE <= value <= MAX_SIDE
