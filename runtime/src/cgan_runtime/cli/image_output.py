"""Write the images of a run of cgan-run in a format, with a preview and a progress bar."""

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
    "note: the {0} part has no images, and torchvision's MNIST cannot load it; add it with "
    "--split {0} and another --seed"
)


@dataclass(frozen=True)
class Run:
    """The images of a run: what generates them, in which order, and which part of them."""

    generator: ImageGenerator
    labels: list[int]  # position j has labels[j % len(labels)]
    source: NoiseSource
    part: range  # positions of the images
    frames: int | None  # of an animation; None: the images are independent

    @property
    def count(self) -> int:
        """Number of images; len() of a range has a limit."""
        return self.part.stop - self.part.start

    def batches(self, size: int) -> Iterator[Batch]:
        """Generate the images in batches."""
        for position, labels in label_batches(self.labels, self.part, size):
            noise = self.source.noise_of(position, len(labels))
            images = self.generator.generate(labels, noise=noise)
            yield Batch(self.source.first_index + position, labels, images)


@dataclass(frozen=True)
class Output:
    """Where and how the images are written."""

    path: str
    file_format: str
    columns: int | None
    scale: int
    split: str
    quiet: bool

    def write(self, run: Run) -> list[Any]:
        """Write the images; return the first ones, for a preview."""
        info, count, classes = run.generator.info, run.count, len(run.labels)
        pictured = count // (run.frames or 1)  # images of a picture
        columns = self.columns or (classes if classes > 1 else math.ceil(pictured**0.5))
        size = BATCH_SIZE
        if run.frames:  # a batch is a frame
            size = pictured
        elif self.file_format == "png":  # a batch is whole rows
            size = max(1, BATCH_SIZE // columns) * columns
        shown: list[Any] = []
        batches = run.batches(size)
        if not self.quiet:
            batches = keep_first(with_progress(batches, count), shown)
        if self.file_format == "png":
            layout = (pictured, columns, self.scale, _picture_text(run))
            chunks = (
                writers.animation_chunks(batches, info, run.frames, *layout)
                if run.frames
                else writers.png_chunks(batches, info, *layout)
            )
            self._write_file(run, chunks)
        elif self.file_format == "npy":
            shape = (run.frames, pictured) if run.frames else (count,)
            self._write_file(run, writers.npy_chunks(batches, (*shape, *info.image_shape)))
        elif self.file_format == "pngs":
            self._require_space(run)
            writers.write_pngs(Path(self.path), batches, info, self.scale, _text(run))
        else:
            self._write_dataset(batches, run)
        return shown

    def _require_space(self, run: Run) -> None:
        info = run.generator.info
        least = writers.least_bytes(self.file_format, info, run.count, self.scale)
        require_space(Path(self.path), least)

    def _write_file(self, run: Run, chunks: Iterable[bytes]) -> None:
        if self.path == STDOUT:
            for chunk in chunks:
                write_all(chunk, sys.stdout.buffer)
            return
        self._require_space(run)
        with atomic_write(Path(self.path)) as file:
            file.writelines(chunks)

    def _write_dataset(self, batches: Iterable[Batch], run: Run) -> None:
        """Write an IDX dataset; on a terminal, say which part of it is still missing."""
        self._require_space(run)
        info, gz = run.generator.info, self.file_format == "idx-gz"
        path, count = Path(self.path), run.count
        empty_split = writers.write_idx(path, batches, info, count, self.split, gz=gz)
        if empty_split and not self.quiet and is_terminal(sys.stderr):
            click.echo(EMPTY_SPLIT.format(empty_split), err=True)


def _text(run: Run) -> dict[str, str]:
    """Return the metadata that all pictures of a run have."""
    return {
        "Software": f"cgan-runtime {__version__}",
        "cgan:model": run.generator.model_sha256,
        **run.source.text,
    }


def _picture_text(run: Run) -> dict[str, str]:
    """Return the metadata of a picture of all images."""
    first_class = run.part.start % len(run.labels)
    labels = run.labels[first_class:] + run.labels[:first_class]
    names = ",".join(run.generator.info.class_names[label] for label in labels)
    index = str(run.source.first_index + run.part.start)
    return _text(run) | {"cgan:label": names, "cgan:index": index}
