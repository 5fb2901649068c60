"""Decode the files of an image folder into one array, in parallel threads."""

import os
import shlex
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cgan_training.data.conversion import MIN_SIDE, Conversion
from cgan_training.data.files.image_file import ImageFileError, decode_image
from cgan_training.data.pixels import require_supported, resize_note
from cgan_training.errors import DatasetError

MAX_THREADS = 8
CHUNK_FILES = 64  # number of files that a thread decodes at a time
MAX_NAMES = 3  # largest number of names in a note
MAX_UNREADABLE = 20  # largest number of files in an error message
Size = tuple[int, int]  # height and width in pixels


def decode_files(
    paths: Sequence[Path], conversion: Conversion, source: str, check: Sequence[Path] = ()
) -> tuple[Tensor, tuple[str, ...]]:
    """Decode image files.

    Args:
        paths: the files.
        conversion: the size and the number of channels of the images.
        source: where the images came from, for messages.
        check: more files, which are decoded only to find errors.

    Returns:
        The images, uint8 [n, channels, height, width] with 3 channels unless the conversion says 1,
        and notes for the user.

    Raises:
        DatasetError: a file cannot be read, or the images are too small, too large, too many, or of
            different sizes although the conversion sets no size.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about unusual metadata
        size = conversion.image_size or _first_size(paths)
        shape = (conversion.channels or 3, *size)
        require_supported(len(paths), shape, source)
        images = np.empty((len(paths), *shape), np.uint8)
        files = _Files([*paths, *check], images, conversion.image_size)
        other = files.decode_all()
        if other is not None:
            raise DatasetError(
                f"the images have different sizes: {paths[0]} has {_format(size)} pixels, but "
                f"{other} has {_format(_first_size([other]))}; convert them to one size, for "
                "example with --image-size 32"
            )
    if files.problems:
        raise _unreadable(sorted(files.problems), len(files.paths))
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
    images: NDArray[np.uint8]  # [n, channels, height, width], filled from the first n files
    resize_to: Size | None
    sizes: set[Size] = field(default_factory=set)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    animated: list[str] = field(default_factory=list)

    def decode_all(self) -> Path | None:
        """Decode all files, or stop at a file whose size differs from `images` and return it."""
        starts = range(0, len(self.paths), CHUNK_FILES)
        pool = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1))
        try:
            return next((path for path in pool.map(self._decode_chunk, starts) if path), None)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the other files

    def _decode_chunk(self, start: int) -> Path | None:
        """Decode CHUNK_FILES files; see decode_all()."""
        for index in range(start, min(start + CHUNK_FILES, len(self.paths))):
            path = self.paths[index]
            try:
                image = decode_image(path, self.images.shape[1], self.resize_to)
            except ImageFileError as error:
                self.problems.append((path, str(error)))
                continue
            if image.pixels.shape != self.images.shape[1:]:
                return path
            if index >= len(self.images):
                continue
            self.images[index] = image.pixels
            self.sizes.add(image.original_size)
            if image.is_animated:
                self.animated.append(path.name)
        return None


def join_names(names: list[str]) -> str:
    """Return the first names as one string without special characters."""
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return ", ".join(map(ascii, names[:MAX_NAMES])) + more


def _unreadable(problems: Sequence[tuple[Path, str]], total: int) -> DatasetError:
    """Return the error about unreadable files. It lists their paths, quoted for a shell."""
    count, (path, reason) = len(problems), problems[0]
    advice = (
        "replace unreadable images by valid ones with the same file names, or delete them; "
        "deleting images changes which images are held out for testing"
    )
    if count == 1:
        return DatasetError(f"cannot read {path}: {reason}; {advice}")
    which = f"the first {MAX_UNREADABLE}" if count > MAX_UNREADABLE else "the"
    names = shlex.join(str(path) for path, _ in problems[:MAX_UNREADABLE])
    return DatasetError(
        f"cannot read {count:,} of {total:,} images, first {path}: {reason}; {advice}; "
        f"{which} unreadable images are {names}"
    )


def _first_size(paths: Sequence[Path]) -> Size:
    """Return the size of the first file that can be read; the smallest size if there is none."""
    for path in paths:
        with suppress(ImageFileError):
            return decode_image(path, 1, None).original_size
    return MIN_SIDE, MIN_SIDE  # decode_all() finds all problems


def _format(size: Size) -> str:
    return f"{size[0]:,} x {size[1]:,}"
