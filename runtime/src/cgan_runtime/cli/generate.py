"""What `cgan-run` does once its command line is understood."""

import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import click

from cgan_runtime import __version__
from cgan_runtime.errors import InputError
from cgan_runtime.files import atomic_write, write_all
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.images import writers
from cgan_runtime.images.terminal import Preview, is_terminal, with_progress
from cgan_runtime.labels import find_labels

STDOUT = "-"
USUAL_CLASSES = 10  # of a model that is not opened yet
FEW = 64  # images that one thread draws sooner than several can start
BATCH = 1024  # images drawn together
LONGEST_SLUG = 20  # characters of a file's name that say what it shows


@dataclass(frozen=True)
class GenerateRequest:
    """What was asked for."""

    names: tuple[str, ...]  # of classes; none: one of each class
    by_digit: bool  # whether they were given as digits
    count: int  # of each
    seed: int | None  # None: a new one
    start: int  # index of the first image
    shard: tuple[int, int]  # which of how many, counted from 1
    model: Path | None  # None: the one that ships
    expect_sha256: str | None  # of the model's file
    provider: str
    threads: int | None  # None: as many as pay
    output: str | None  # None: named after what is drawn
    format: str  # "png", "npy", "pngs", "idx" or "idx-gz"
    columns: int | None  # of a PNG; None: chosen
    scale: int  # of a PNG's pixels
    split: str  # of IDX files: "train" or "t10k"
    preview: bool  # whether a terminal shows the images


def draw(asked: GenerateRequest) -> None:
    """Draw, write, and say where.

    Raises:
        CganError: something was wrong with what was asked for, or failed.
    """
    seed = int.from_bytes(os.urandom(4), "little") if asked.seed is None else asked.seed
    few = (len(asked.names) or USUAL_CLASSES) * asked.count <= FEW
    threads = 1 if few and asked.threads is None else asked.threads
    with ImageGenerator(
        asked.model, asked.provider, threads, expect_sha256=asked.expect_sha256
    ) as generator:
        info = generator.info
        labels = find_labels(asked.names, info.class_names, by_digit=asked.by_digit)
        names = [info.class_names[label] for label in labels]
        first, count = share(len(labels) * asked.count, asked.shard)
        columns = asked.columns or (len(labels) if len(labels) > 1 else math.ceil(count**0.5))
        turn = first % len(labels)
        stream = generator.stream(
            labels[turn:] + labels[:turn],
            seed=seed,
            start=asked.start + first,
            count=count,
            batch_size=max(1, BATCH // columns) * columns if asked.format == "png" else BATCH,
        )
        preview = Preview()
        batches = preview.of(with_progress(stream, count))
        path = asked.output or default_name(names, seed, asked.format, asked.shard)
        text = {
            "Software": f"cgan-runtime {__version__}",
            "cgan:model": generator.model_sha256,
            "cgan:seed": str(seed),
        }
        if asked.format == "png":
            text |= {
                "cgan:label": ",".join(names[turn:] + names[:turn]),
                "cgan:index": str(asked.start + first),
            }
            with opened(path) as file:
                writers.write_png(
                    file,
                    batches,
                    info=info,
                    count=count,
                    columns=columns,
                    scale=asked.scale,
                    text=text,
                )
        elif asked.format == "npy":
            with opened(path) as file:
                writers.write_npy(file, batches, info=info, count=count)
        elif asked.format == "pngs":
            writers.write_pngs(Path(path), batches, info=info, scale=asked.scale, text=text)
        else:
            gz = asked.format == "idx-gz"
            writers.write_idx(Path(path), batches, info=info, count=count, split=asked.split, gz=gz)
    if path == STDOUT:
        return
    if asked.preview and is_terminal(sys.stdout):
        preview.show(count)
    click.echo(f"{path}  seed {seed}", color=True)  # else a path with an escape in it loses that


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open stdout, or a file that takes its name once it is whole."""
    if path == STDOUT:
        yield cast("BinaryIO", _Stdout())
        return
    with atomic_write(Path(path)) as file:
        yield file


class _Stdout:
    """Stdout, to which every write goes to its last byte."""

    def write(self, content: bytes) -> int:
        """Write and flush."""
        write_all(content, sys.stdout.buffer)
        return len(content)

    def writelines(self, parts: Iterable[bytes]) -> None:
        """Write one after the other."""
        for part in parts:
            self.write(part)


def share(total: int, shard: tuple[int, int]) -> tuple[int, int]:
    """Return the first of a shard's images and their number; the shards follow each other.

    Args:
        total: of images in all shards, below 2**63.
        shard: which of how many, counted from 1.

    Raises:
        InputError: there are fewer images than shards, and none is left for this one.
    """
    which, shards = shard
    first, end = total * (which - 1) // shards, total * which // shards
    if first == end:
        raise InputError(
            f"shard {which}/{shards} of {total} images has none of them; use fewer shards"
        )
    return first, end - first


def default_name(names: list[str], seed: int, kind: str, shard: tuple[int, int]) -> str:
    """Return what to call a file of these classes, such as digits-2026-seed-7.png."""
    if all(re.fullmatch("[0-9]", name) for name in names):
        word = "digit" if len(names) == 1 else "digits"
        slug = f"{word}-{''.join(names)[:LONGEST_SLUG]}"
    else:
        joined = re.sub(r"\W+", "-", "-".join(names).casefold()).strip("-")
        slug = joined[:LONGEST_SLUG].strip("-") or "class"
    which, shards = shard
    part = f"-shard-{which}-of-{shards}" if shards > 1 else ""
    ending = f".{kind}" if kind in ("png", "npy") else ""
    return f"{slug}-seed-{seed}{part}{ending}"
