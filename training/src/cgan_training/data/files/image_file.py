"""Decode one image file, up to a size limit."""

from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cgan_training.errors import TrainingError, one_line
from cgan_training.input_files import read_bounded

# The decoders of Pillow that are used.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
MAX_FILE_BYTES = 2**28
MAX_PIXELS = 2**26  # largest number of pixels in a file, before resampling
TOO_MANY_PIXELS = f"it has more than {MAX_PIXELS:,} pixels"
DRAFT_FACTOR = 2  # a JPEG file is decoded at this multiple of the size that is needed, or more


class ImageFileError(TrainingError):
    """An image file cannot be read; the message is the reason."""


@dataclass(frozen=True)
class DecodedImage:
    """The content of an image file."""

    pixels: NDArray[np.uint8]  # [channels, height, width]
    original_size: tuple[int, int]  # height and width in the file, after EXIF orientation
    is_animated: bool  # also true for several pages; `pixels` is the first image


def decode_image(path: Path, channels: int, size: tuple[int, int] | None) -> DecodedImage:
    """Decode an image file to gray or RGB bytes.

    EXIF orientation is applied. Transparent pixels are shown on white. 16 bits per channel
    are reduced to the upper 8. Color profiles are ignored.

    Args:
        path: the file.
        channels: 1 (gray, ITU-R 601 luma) or 3 (RGB).
        size: the height and width to crop and resample to; None keeps the size.

    Raises:
        ImageFileError: the file cannot be read.
    """
    try:
        content = read_bounded(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ImageFileError(error.strerror or str(error)) from error
    if not content:
        raise ImageFileError("it is empty")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            return _decode(image, channels, size)
    except ImageFileError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageFileError(TOO_MANY_PIXELS) from error
    except UnidentifiedImageError as error:
        formats = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise ImageFileError(f"it is not a {formats} file, or is damaged") from error
    except Exception as error:  # Pillow's decoders raise many types
        raise ImageFileError(f"it is damaged ({one_line(error)})") from error


def _decode(image: Image.Image, channels: int, size: tuple[int, int] | None) -> DecodedImage:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageFileError(TOO_MANY_PIXELS)
    several_pages = image.format not in ("JPEG", "MPO") and getattr(image, "is_animated", False)
    orientation = _orientation(image)
    is_rotated = orientation >= 5  # the orientations that swap the axes
    original_size = (width, height) if is_rotated else (height, width)
    if size is not None:  # has an effect on JPEG files only
        side = DRAFT_FACTOR * max(size)
        image.draft(image.mode, (side, side))
    upright = ImageOps.exif_transpose(image) if orientation != 1 else image
    converted = _to_mode(upright, image.format, "L" if channels == 1 else "RGB")
    if size is not None and original_size != size:
        converted = ImageOps.fit(converted, (size[1], size[0]), Image.Resampling.LANCZOS)
    pixels = np.asarray(converted)
    return DecodedImage(
        pixels[None] if channels == 1 else pixels.transpose(2, 0, 1), original_size, several_pages
    )


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8. It is 1 (upright) if it is missing or invalid."""
    with suppress(Exception):  # Pillow raises many types for damaged metadata
        value = image.getexif().get(ExifTags.Base.Orientation)
        return value if type(value) is int and 1 <= value <= 8 else 1
    return 1


def _to_mode(image: Image.Image, file_format: str | None, mode: str) -> Image.Image:
    """Convert an image of any mode to "L" or "RGB"."""
    is_deep = image.mode.startswith("I;16") or (image.mode == "I" and file_format != "TIFF")
    if is_deep:
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ImageFileError("it holds numbers of 32 bits; save it with 8 or 16 bits per channel")
    elif image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, "white")
        canvas.alpha_composite(image.convert("RGBA"))
        image = canvas
    return image if image.mode == mode else image.convert(mode)
