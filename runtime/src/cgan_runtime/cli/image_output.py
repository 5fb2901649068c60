"""Write the images that cgan-run generates, in the requested format and with a progress bar."""

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cgan_runtime import __version__
from cgan_runtime.cli.noise_source import NoiseSource
from cgan_runtime.cli.options import STDOUT
from cgan_runtime.cli.terminal import is_terminal, keep_first, with_progress
from cgan_runtime.files import atomic_write, require_space, write_all
from cgan_runtime.generator import Batch, ImageGenerator
from cgan_runtime.images import writers
from cgan_runtime.labels import label_batches

BATCH_SIZE = 1024
EMPTY_SPLIT = (
    "note: the {0} split has no images, so torchvision's MNIST cannot load it; add it with "
    "--split {0} and another --seed"
)


@dataclass(frozen=True)
class ImageRequest:
    """The images to generate, and the generator that generates them."""

    generator: ImageGenerator
    labels: list[int]  # position j has labels[j % len(labels)]
    source: NoiseSource
    part: range  # positions of the images to generate; others belong to other shards
    frames: int | None  # number of frames of an animation; None for independent images

    @property
    def count(self) -> int:
        """Number of images. It may exceed the limit of len()."""
        return self.part.stop - self.part.start

    def batches(self, size: int) -> Iterator[Batch]:
        """Generate the images in batches."""
        for position, labels in label_batches(self.labels, self.part, size):
            noise = self.source.noise_function(position, len(labels))
            images = self.generator.generate(labels, noise=noise)
            yield Batch(self.source.first_index + position, labels, images)


@dataclass(frozen=True)
class ImageWriter:
    """Writes images to a file, a folder or stdout. The fields are the options of cgan-run."""

    path: str
    file_format: str
    columns: int | None
    scale: int
    split: str
    quiet: bool

    def write(self, request: ImageRequest) -> list[Any]:
        """Generate and write the images; return arrays of the first images, for a preview."""
        info, classes, frames = request.generator.info, len(request.labels), request.frames
        grid_images = request.count // (frames or 1)  # number of images per PNG or frame
        columns = self.columns or (classes if classes > 1 else math.ceil(grid_images**0.5))
        batch_size = BATCH_SIZE
        if frames:  # a batch is a frame
            batch_size = grid_images
        elif self.file_format == "png":  # a batch is a number of whole rows
            batch_size = max(1, BATCH_SIZE // columns) * columns
        first_images: list[Any] = []
        batches = request.batches(batch_size)
        if not self.quiet:
            batches = keep_first(with_progress(batches, request.count), first_images)
        if self.file_format == "png":
            metadata = _grid_metadata(request)
            if frames:
                chunks = writers.animation_chunks(
                    batches, info, frames, grid_images, columns, self.scale, metadata
                )
            else:
                chunks = writers.png_chunks(
                    batches, info, grid_images, columns, self.scale, metadata
                )
            self._write_file(request, chunks)
        elif self.file_format == "npy":
            shape = (frames, grid_images) if frames else (grid_images,)
            self._write_file(request, writers.npy_chunks(batches, (*shape, *info.image_shape)))
        elif self.file_format == "pngs":
            self._require_space(request)
            writers.write_pngs(Path(self.path), batches, info, self.scale, _metadata(request))
        else:
            self._write_dataset(batches, request)
        return first_images

    def _require_space(self, request: ImageRequest) -> None:
        info, count = request.generator.info, request.count
        size = writers.min_bytes(self.file_format, info, count, self.scale)
        require_space(Path(self.path), size)

    def _write_file(self, request: ImageRequest, chunks: Iterable[bytes]) -> None:
        if self.path == STDOUT:
            for chunk in chunks:
                write_all(chunk, sys.stdout.buffer)
            return
        self._require_space(request)
        with atomic_write(Path(self.path)) as file:
            file.writelines(chunks)

    def _write_dataset(self, batches: Iterable[Batch], request: ImageRequest) -> None:
        """Write an IDX dataset; on a terminal, name the split that still has no images."""
        self._require_space(request)
        info, gz = request.generator.info, self.file_format == "idx-gz"
        path, count = Path(self.path), request.count
        empty_split = writers.write_idx(path, batches, info, count, self.split, gz=gz)
        if empty_split and not self.quiet and is_terminal(sys.stderr):
            click.echo(EMPTY_SPLIT.format(empty_split), err=True)


def _metadata(request: ImageRequest) -> dict[str, str]:
    """Return the metadata of every PNG of a run."""
    return {
        "Software": f"cgan-runtime {__version__}",
        "cgan:model": request.generator.model_sha256,
        **request.source.metadata,
    }


def _grid_metadata(request: ImageRequest) -> dict[str, str]:
    """Return the metadata of a PNG that shows all images."""
    first_class = request.part.start % len(request.labels)
    labels = request.labels[first_class:] + request.labels[:first_class]
    names = ",".join(request.generator.info.class_names[label] for label in labels)
    index = str(request.source.first_index + request.part.start)
    return _metadata(request) | {"cgan:label": names, "cgan:index": index}
