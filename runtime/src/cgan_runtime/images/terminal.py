"""What a terminal shows: the first images, and how far a long run is."""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cgan_runtime.generator import Batch

MOST_SHOWN = 20  # images
MANY = 20_000  # images from which on it is said how far they are


def is_terminal(stream: Any) -> bool:
    """Whether a stream is there, and a terminal."""
    return stream is not None and stream.isatty()


def with_progress(batches: "Iterable[Batch]", count: int) -> "Iterator[Batch]":
    """Yield the batches; where they are many, a terminal's stderr shows a bar."""
    if count < MANY or not is_terminal(sys.stderr):
        yield from batches
        return
    with click.progressbar(length=count, label="drawing", file=sys.stderr) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch.labels))


class Preview:
    """Keeps the first images that go by, to show them."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.uint8]] = []

    def of(self, batches: "Iterable[Batch]") -> "Iterator[Batch]":
        """Yield the batches, and keep their first images."""
        kept = 0
        for batch in batches:
            if kept < MOST_SHOWN:
                self._kept.append(batch.images[: MOST_SHOWN - kept].copy())
                kept += len(self._kept[-1])
            yield batch

    def show(self, count: int) -> None:
        """Draw them on stdout, as many a row as it is wide.

        Args:
            count: of images in all.
        """
        from shutil import get_terminal_size

        import numpy as np

        from cgan_runtime.images.layout import to_block_characters

        shown = np.concatenate(self._kept)
        columns = max(1, min(len(shown), get_terminal_size().columns // shown.shape[3]))
        try:
            "█▀▄".encode(sys.stdout.encoding)
            ascii_only = False
        except UnicodeEncodeError:
            ascii_only = True
        for first in range(0, len(shown), columns):
            row = shown[first : first + columns]
            click.echo(to_block_characters(row, columns, ascii_only=ascii_only) + "\n")
        if count > len(shown):
            click.echo(f"(the first {len(shown)} of {count})")
