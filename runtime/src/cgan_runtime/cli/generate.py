"""The work of cgan-run after its command line is parsed."""

import math
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from cgan_runtime import __version__
from cgan_runtime.cli.terminal import Preview, is_terminal, with_progress
from cgan_runtime.errors import InputError
from cgan_runtime.files import atomic_write, write_all
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.images import writers
from cgan_runtime.labels import find_labels

STDOUT = "-"
TYPICAL_CLASSES = 10  # number of classes that is assumed before the model is open
MAX_SINGLE_THREAD_IMAGES = 64  # one thread generates these before several threads have started
BATCH_SIZE = 1024
MAX_SLUG_LENGTH = 20  # characters of the class names in a default file name


@dataclass(frozen=True)
class GenerateRequest:
    """The parsed options of cgan-run."""

    class_names: tuple[str, ...]  # empty: one image of every class
    by_digit: bool  # whether the names were given with --digit or --digits
    count: int  # images of each class
    seed: int | None  # None: random
    start: int  # index of the first image
    shard: tuple[int, int]  # number of the shard, from 1, and how many shards there are
    model: Path | None  # None: the shipped model
    expect_sha256: str | None  # of the model file
    provider: str
    threads: int | None  # None: chosen by the number of images
    output: str | None  # None: a default name
    format: str  # "png", "npy", "pngs", "idx" or "idx-gz"
    columns: int | None  # of a PNG; None: chosen
    scale: int  # of a PNG's pixels
    split: str  # of an IDX dataset: "train" or "t10k"
    preview: bool  # whether to show the images on a terminal


def generate_images(request: GenerateRequest) -> None:
    """Generate the images, write them, and print the output path and the seed.

    Raises:
        CganError: an option is wrong for this model, or the run failed.
    """
    seed = int.from_bytes(os.urandom(4), "little") if request.seed is None else request.seed
    images = (len(request.class_names) or TYPICAL_CLASSES) * request.count
    few = request.threads is None and images <= MAX_SINGLE_THREAD_IMAGES
    threads = 1 if few else request.threads
    with ImageGenerator(
        request.model, request.provider, threads, expect_sha256=request.expect_sha256
    ) as generator:
        info = generator.info
        labels = find_labels(request.class_names, info.class_names, by_digit=request.by_digit)
        names = [info.class_names[label] for label in labels]
        offset, count = shard_range(len(labels) * request.count, request.shard)
        columns = request.columns or (len(labels) if len(labels) > 1 else math.ceil(count**0.5))
        whole_rows = max(1, BATCH_SIZE // columns) * columns
        first_class = offset % len(labels)
        stream = generator.stream(
            labels[first_class:] + labels[:first_class],
            seed=seed,
            start=request.start + offset,
            count=count,
            batch_size=whole_rows if request.format == "png" else BATCH_SIZE,
        )
        preview = Preview()
        batches = preview.keep_first(with_progress(stream, count))
        path = request.output or default_output(names, seed, request.format, request.shard)
        text = {
            "Software": f"cgan-runtime {__version__}",
            "cgan:model": generator.model_sha256,
            "cgan:seed": str(seed),
        }
        if request.format == "png":
            text["cgan:label"] = ",".join(names[first_class:] + names[:first_class])
            text["cgan:index"] = str(request.start + offset)
            chunks = writers.png_chunks(batches, info, count, columns, request.scale, text)
            _write_file(path, chunks)
        elif request.format == "npy":
            _write_file(path, writers.npy_chunks(batches, info, count))
        elif request.format == "pngs":
            writers.write_pngs(Path(path), batches, info, request.scale, text)
        else:
            gz = request.format == "idx-gz"
            writers.write_idx(Path(path), batches, info, count, request.split, gz=gz)
    if path == STDOUT:
        return
    if request.preview and is_terminal(sys.stdout):
        preview.show(count)
    # With color=True, click does not remove an escape sequence from the path.
    click.echo(f"{path}  seed {seed}", color=True)


def _write_file(path: str, chunks: Iterable[bytes]) -> None:
    if path == STDOUT:
        for chunk in chunks:
            write_all(chunk, sys.stdout.buffer)
        return
    with atomic_write(Path(path)) as file:
        file.writelines(chunks)


def shard_range(total: int, shard: tuple[int, int]) -> tuple[int, int]:
    """Return the offset of a shard's first image and its number of images.

    Args:
        total: number of images in all shards.
        shard: number of the shard, from 1, and how many shards there are.

    Raises:
        InputError: the shard is empty.
    """
    number, shards = shard
    first, end = total * (number - 1) // shards, total * number // shards
    if first == end:
        raise InputError(f"shard {number}/{shards} of {total} images is empty; use fewer shards")
    return first, end - first


def default_output(names: list[str], seed: int, file_format: str, shard: tuple[int, int]) -> str:
    """Return the default output path for these classes, such as digits-2026-seed-7.png."""
    if all(re.fullmatch("[0-9]", name) for name in names):
        prefix = "digit" if len(names) == 1 else "digits"
        slug = f"{prefix}-{''.join(names)[:MAX_SLUG_LENGTH]}"
    else:
        joined = re.sub(r"\W+", "-", "-".join(names).casefold()).strip("-")
        slug = joined[:MAX_SLUG_LENGTH].strip("-") or "class"
    number, shards = shard
    part = f"-shard-{number}-of-{shards}" if shards > 1 else ""
    ending = f".{file_format}" if file_format in ("png", "npy") else ""
    return f"{slug}-seed-{seed}{part}{ending}"
