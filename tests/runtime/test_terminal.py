import sys
from io import StringIO

import numpy as np
import pytest

from cgan_runtime.generator import Batch
from cgan_runtime.images.terminal import MANY, with_progress


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


def batches(count: int) -> list[Batch]:
    size = count // 4
    labels, images = np.zeros(size, np.int64), np.zeros((size, 1, 1, 1), np.uint8)
    return [Batch(start, labels, images) for start in range(0, count, size)]


@pytest.mark.parametrize(
    ("stream", "count", "shown"),
    [(Screen(), MANY, True), (Screen(), MANY - 4, False), (StringIO(), MANY, False)],
    ids=["many", "few", "no terminal"],
)
def test_progress(
    monkeypatch: pytest.MonkeyPatch, stream: StringIO, count: int, shown: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    wanted = batches(count)
    assert list(with_progress(wanted, count)) == wanted
    assert ("100%" in stream.getvalue()) == shown


def test_progress_without_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    wanted = batches(MANY)
    assert list(with_progress(wanted, MANY)) == wanted
