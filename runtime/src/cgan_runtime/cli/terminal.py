"""Output for terminals: a preview of the first images, and a progress bar."""

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cgan_runtime.generator import Batch

MAX_PREVIEW_IMAGES = 20
MAX_PREVIEW_SIDE = 64  # pixels; larger images are shrunk
MIN_PROGRESS_IMAGES = 20_000  # shorter runs of cgan-run show no progress bar


def is_terminal(stream: Any) -> bool:
    """Return whether a stream exists and is a terminal."""
    return stream is not None and stream.isatty()


@contextmanager
def progress_bar(
    count: int, minimum: int = 0, *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal if count >= minimum; yield a function that advances it."""
    if quiet or count < minimum or not is_terminal(sys.stderr):
        yield lambda _: None
        return
    with click.progressbar(length=count, label="generating", file=sys.stderr) as bar:
        yield bar.update


def with_progress(batches: "Iterable[Batch]", count: int) -> "Iterator[Batch]":
    """Yield the batches. If the run has many images (count), show a progress bar."""
    with progress_bar(count, MIN_PROGRESS_IMAGES) as advance:
        for batch in batches:
            yield batch
            advance(len(batch.labels))


def keep_first(batches: "Iterable[Batch]", kept: list[Any]) -> "Iterator[Batch]":
    """Yield the batches, and append arrays of the run's first images to a list."""
    remaining = MAX_PREVIEW_IMAGES
    for batch in batches:
        if remaining > 0:
            kept.append(batch.images[:remaining].copy())
            remaining -= len(batch.images)
        yield batch


def show_preview(kept: list[Any], count: int) -> None:
    """Print the kept images, as many per row as fit the terminal. The run has count images."""
    from shutil import get_terminal_size

    import numpy as np

    from cgan_runtime.images.layout import shrink, to_block_characters, to_color_blocks

    images, terminal_width = np.concatenate(kept), get_terminal_size().columns
    height, width = images.shape[2:]
    max_width = min(MAX_PREVIEW_SIDE, terminal_width)
    factor = max(math.ceil(width / max_width), math.ceil(height / MAX_PREVIEW_SIDE))
    images = shrink(images, factor)
    columns = max(1, min(len(images), terminal_width // images.shape[3]))
    has_blocks = _can_print("█▀▄")
    for first in range(0, len(images), columns):
        row = images[first : first + columns]
        if has_blocks and _has_colors():
            text = to_color_blocks(row, len(row))
        else:
            text = to_block_characters(row, columns, ascii_only=not has_blocks)
        click.echo(f"{text}\n", color=True)
    if count > len(images):
        click.echo(f"(the first {len(images)} of {count} images)")


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _has_colors() -> bool:
    """Return whether to use 24-bit color.

    A terminal that supports it sets COLORTERM; a user who wants no colors sets NO_COLOR
    (no-color.org).
    """
    return os.environ.get("COLORTERM") in ("truecolor", "24bit") and not os.environ.get("NO_COLOR")
