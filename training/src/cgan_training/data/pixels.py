"""Check and convert the images of a dataset."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.data.conversion import MAX_SIDE, MIN_SIDE, Conversion, is_side
from cgan_training.data.dataset import Dataset
from cgan_training.errors import DatasetError

MAX_DATASET_BYTES = 2**32  # largest size of all images, which are in memory
GRAY_TOLERANCE = 4  # largest difference of the channels in a gray image; JPEG causes differences
CHUNK_IMAGES = 1024
LUMA_WEIGHTS = (19595, 38470, 7471)  # red, green and blue in ITU-R 601 luma, times 2**16


def convert(data: Dataset, conversion: Conversion) -> Dataset:
    """Return a dataset with converted images, and notes about what was changed.

    Raises:
        DatasetError: the resulting images are too small, too large or too many.
    """
    images, notes = data.images, data.notes
    height, width = conversion.image_size or data.image_shape[1:]
    require_supported(len(images), (images.shape[1], height, width), data.source)
    if conversion.channels == 1:
        images = to_gray(images)
    elif conversion.channels is not None:
        images = images.expand(-1, conversion.channels, -1, -1)
    if images.shape[2:] != (height, width):
        notes += (resize_note([data.image_shape[1:]], (height, width)),)
        images = _resize(images, height, width)
    if conversion.channels is None and images.shape[1] == 3 and _all_gray(images):
        notes += ("every image is gray, so the dataset has one channel",)
        images = to_gray(images)
    return replace(data, images=images, conversion=conversion, notes=notes)


def require_supported(count: int, shape: ImageShape, source: str) -> None:
    """Raise DatasetError if images of this number and shape cannot be trained on."""
    channels, height, width = shape
    if not (is_side(height) and is_side(width)):
        raise DatasetError(
            f"{source}: the images have {height:,} x {width:,} pixels (height x width), but "
            f"{MIN_SIDE} to {MAX_SIDE} are supported; convert them, for example with "
            "--image-size 32"
        )
    size = count * channels * height * width
    if size > MAX_DATASET_BYTES:
        raise DatasetError(
            f"{source}: {count:,} images of {height} x {width} pixels take {size / 1e9:.1f} GB of "
            f"memory, more than {MAX_DATASET_BYTES / 1e9:.1f} GB; give a smaller --image-size, or "
            "fewer images"
        )


def resize_note(sizes: list[tuple[int, int]], size: tuple[int, int]) -> str:
    """Return a note about resampling. `sizes` are the distinct heights and widths, sorted."""
    first, last = (f"{height} x {width}" for height, width in (sizes[0], sizes[-1]))
    origin = first if len(sizes) == 1 else f"{first} to {last}"
    cropped = any(height * size[1] != width * size[0] for height, width in sizes)
    crop = "cropped at the center and " if cropped else ""
    return f"images of {origin} pixels are {crop}resampled to {size[0]} x {size[1]}"


def to_gray(images: Tensor) -> Tensor:
    """Return the luma of RGB images, uint8 [n, 1, h, w], rounded as in Pillow; keep gray images."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(LUMA_WEIGHTS, dtype=torch.int32).view(1, 3, 1, 1)
    chunks = [
        ((chunk.int() * weights).sum(1, keepdim=True) + 2**15) >> 16
        for chunk in images.split(CHUNK_IMAGES)
    ]
    return torch.cat([chunk.to(torch.uint8) for chunk in chunks])


def _all_gray(images: Tensor) -> bool:
    """Return whether the channels of every pixel are nearly equal."""
    return all(
        int((chunk.amax(1) - chunk.amin(1)).max()) <= GRAY_TOLERANCE
        for chunk in images.split(CHUNK_IMAGES)
    )


def _resize(images: Tensor, height: int, width: int) -> Tensor:
    channels = images.shape[1]
    resized = torch.empty((len(images), channels, height, width), dtype=torch.uint8)
    for source, target in zip(images.numpy(), resized.numpy(), strict=True):
        image = Image.fromarray(source[0] if channels == 1 else source.transpose(1, 2, 0))
        pixels = np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))
        target[:] = pixels if channels == 1 else pixels.transpose(2, 0, 1)
    return resized
