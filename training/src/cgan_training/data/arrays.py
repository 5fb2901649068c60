"""Convert arrays of numbers, for example from .npz and IDX files, to images and labels."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cgan_runtime.model_file.contract import CHANNELS
from cgan_training.errors import DatasetError

Array: TypeAlias = NDArray[Any]
CHUNK_IMAGES = 1024


def to_images(array: Array, source: str | Path, scale_reference: Array | None = None) -> Tensor:
    """Convert an array of numbers to images, uint8 [n, channels, height, width].

    Integers must be 0 to 255. Booleans become 0 and 255. Floats are scaled from the first of these
    ranges that contains all of them: 0 to 1, -1 to 1, 0 to 255.

    Args:
        array: numbers [n, h, w], [n, h, w, channels] or [n, channels, h, w].
        source: the file, for messages.
        scale_reference: the training images if `array` contains test images. Their type and range
            determine the scaling.

    Raises:
        DatasetError: the array has another shape or other values, or test images have another type
            and range than the training images.
    """
    low, high = _value_range(array if scale_reference is None else scale_reference, source)
    if scale_reference is not None:
        own = _value_range(array, source)
        if array.dtype.kind != scale_reference.dtype.kind and own != (low, high):
            raise DatasetError(
                f"{source} holds {array.dtype} numbers from {own[0]:g} to {own[1]:g} as test "
                f"images, but the training images are {scale_reference.dtype} numbers from {low:g} "
                f"to {high:g}; scale both to the same range"
            )
    images = _channels_first(array, source)
    if images.dtype != np.uint8:
        pixels = np.empty(images.shape, np.uint8)
        for start in range(0, len(images), CHUNK_IMAGES):
            chunk = images[start : start + CHUNK_IMAGES].astype(np.float64)
            scaled = (chunk - low) * (255 / (high - low))
            pixels[start : start + CHUNK_IMAGES] = np.rint(np.clip(scaled, 0, 255))
        images = pixels
    return torch.from_numpy(np.ascontiguousarray(images))


def to_labels(array: Array, source: str | Path) -> Tensor:
    """Convert an array of whole numbers, [n] or [n, 1], to labels, int64 [n].

    Raises:
        DatasetError: the array has another shape, or a number is not whole.
    """
    if array.ndim == 2 and array.shape[1] > 1:
        raise DatasetError(
            f"{source} holds {array.shape[1]} numbers per image as labels; one class per image is "
            "supported, so choose one"
        )
    if array.ndim not in (1, 2) or array.size == 0:
        raise DatasetError(
            f"{source} holds labels of the shape {_format(array)}; give one number per image"
        )
    labels = array.reshape(-1)
    whole = labels.astype(np.int64) if _is_finite(labels) else np.zeros(len(labels), np.int64)
    if not (whole == labels).all():
        raise DatasetError(f"{source} holds labels that are not whole numbers; give class indices")
    return torch.from_numpy(whole)


def _value_range(array: Array, source: str | Path) -> tuple[float, float]:
    """Return the numbers that become 0 and 255."""
    if array.dtype == np.uint8:
        return 0.0, 255.0
    if array.dtype == np.bool_:
        return 0.0, 1.0
    low, high = float(array.min()), float(array.max())
    ranges = [(0.0, 255.0)]
    if array.dtype.kind == "f":
        ranges = [(0.0, 1.0), (-1.0, 1.0), *ranges]
    for minimum, maximum in ranges:
        if minimum <= low and high <= maximum:  # False for NaN
            return minimum, maximum
    allowed = "0 to 1, -1 to 1 or 0 to 255" if array.dtype.kind == "f" else "0 to 255"
    raise DatasetError(
        f"{source} holds {array.dtype} numbers from {low:g} to {high:g} as images, expected "
        f"{allowed}; scale them"
    )


def _channels_first(array: Array, source: str | Path) -> Array:
    if array.ndim == 3:
        return array[:, None]
    if array.ndim == 4 and array.shape[3] in CHANNELS:
        return array.transpose(0, 3, 1, 2)
    if array.ndim == 4 and array.shape[1] in CHANNELS:
        return array
    raise DatasetError(
        f"{source} holds images of the shape {_format(array)}, expected [n, height, width], "
        "[n, height, width, 1 or 3] or [n, 1 or 3, height, width]; convert them"
    )


def _is_finite(labels: Array) -> bool:
    return bool(np.isfinite(labels).all()) and bool(
        (np.abs(labels.astype(np.float64)) < 2**53).all()
    )


def _format(array: Array) -> str:
    return f"[{', '.join(f'{size:,}' for size in array.shape)}]"
