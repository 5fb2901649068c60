"""Decode the files of an image folder into one array, in parallel threads."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cgan_training.data.conversion import Conversion
from cgan_training.data.files.image_file import ImageFileError, decode_image
from cgan_training.data.pixels import require_supported, resize_note
from cgan_training.errors import DatasetError

MAX_THREADS = 8
CHUNK = 64  # files that a thread decodes at a time
MAX_NAMES = 3  # that a note lists
Size = tuple[int, int]  # height and width in pixels


def decode_files(
    paths: list[Path], conversion: Conversion, source: str
) -> tuple[Tensor, tuple[str, ...]]:
    """Decode image files.

    Returns:
        The images, uint8 [n, channels, height, width] with 3 channels unless the conversion says 1,
        and notes for the user.

    Raises:
        DatasetError: a file cannot be read, or the images are too small, too large, too many, or of
            different sizes although the conversion has none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about unusual metadata
        size = conversion.image_size or _size(paths[0])
        shape = (conversion.channels or 3, *size)
        require_supported(len(paths), shape, source)
        files = _Files(paths, np.empty((len(paths), *shape), np.uint8), conversion.image_size)
        other = files.decode_all()
        if other is not None:
            raise DatasetError(
                f"the images have different sizes: {paths[0]} has {_format(size)} pixels, but "
                f"{other} has {_format(_size(other))}; convert them to one size, for example with "
                "--image-size 32"
            )
    if files.problems:
        path, reason = min(files.problems)
        count = len(files.problems) - 1
        more = f" ({count:,} other files cannot be read either)" if count else ""
        raise DatasetError(f"cannot read {path}: {reason}{more}; replace or delete it")
    notes = []
    if files.sizes != {size}:
        notes.append(resize_note(sorted(files.sizes), size))
    if files.animated:
        names = join_names(sorted(files.animated))
        notes.append(f"animated files, of which the first image is used: {names}")
    return torch.from_numpy(files.images), tuple(notes)


@dataclass
class _Files:
    """The files to decode, and what was found in them."""

    paths: list[Path]
    images: NDArray[np.uint8]  # [n, channels, height, width], to be filled
    resize_to: Size | None
    sizes: set[Size] = field(default_factory=set)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    animated: list[str] = field(default_factory=list)

    def decode_all(self) -> Path | None:
        """Decode all files; return the first one of another size, if sizes are to be kept."""
        starts = range(0, len(self.paths), CHUNK)
        pool = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1))
        try:
            return next((each for each in pool.map(self._decode_chunk, starts) if each), None)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the other files

    def _decode_chunk(self, start: int) -> Path | None:
        """Decode some files; see decode_all()."""
        for index in range(start, min(start + CHUNK, len(self.paths))):
            path = self.paths[index]
            try:
                image = decode_image(path, self.images.shape[1], self.resize_to)
            except ImageFileError as error:
                self.problems.append((path, str(error)))
                continue
            if image.pixels.shape != self.images.shape[1:]:
                return path
            self.images[index] = image.pixels
            self.sizes.add(image.original_size)
            if image.is_animated:
                self.animated.append(path.name)
        return None


def join_names(names: list[str]) -> str:
    """Return the first names as one text without special characters."""
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return ", ".join(map(ascii, names[:MAX_NAMES])) + more


def _size(path: Path) -> Size:
    """Return the size of an image file; raise DatasetError if it cannot be read."""
    try:
        return decode_image(path, 1, None).original_size
    except ImageFileError as error:
        raise DatasetError(f"cannot read {path}: {error}; replace or delete it") from error


def _format(size: Size) -> str:
    return f"{size[0]:,} x {size[1]:,}"
