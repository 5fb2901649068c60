"""Progress bars on a terminal."""

import sys
from io import StringIO

import numpy as np
import pytest

from cgan_runtime.cli.terminal import MIN_PROGRESS_IMAGES, with_progress
from cgan_runtime.generator import Batch


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "missing", "shown"),
    [(Terminal(), 0, True), (Terminal(), 4, False), (StringIO(), 0, False), (None, 0, False)],
    ids=["many images", "few images", "not a terminal", "no stderr"],
)
def test_progress_bar_appears_for_many_images_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, stream: StringIO | None, missing: int, shown: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    count = MIN_PROGRESS_IMAGES - missing
    size = count // 4
    labels, images = np.zeros(size, np.int64), np.zeros((size, 1, 1, 1), np.uint8)
    batches = [Batch(start, labels, images) for start in range(0, count, size)]
    assert list(with_progress(batches, count)) == batches
    assert stream is None or ("100%" in stream.getvalue()) == shown
