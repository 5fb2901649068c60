from io import BytesIO
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cgan_training.pictures.curves import curves


def metrics(epochs: int, *, measured: bool) -> list[dict[str, Any]]:
    """A run's metrics; of a measured one, every second epoch's quality is known."""
    lines: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        line = {"epoch": epoch, "loss_generator": 2 / epoch, "loss_discriminator": 0.5}
        line |= {"mean_d_real": 0.7, "mean_d_fake": 0.3}
        if measured and epoch % 2 == 0:
            line |= {"label_accuracy": 1 - 1 / epoch, "recall": 0.5, "coverage": 0.6}
            line |= {"frechet": 10 / epoch}
        lines.append(line)
    return lines


@pytest.mark.parametrize(("measured", "width"), [(False, 1000), (True, 1500)])
def test_quality_gets_a_panel_where_it_was_measured(*, measured: bool, width: int) -> None:
    png = curves(metrics(6, measured=measured), "a run")
    with Image.open(BytesIO(png)) as picture:
        assert picture.size == (width, 400)
        drawn = np.asarray(picture.convert("L"))
    thirds = np.array_split(drawn, width // 500, axis=1)
    assert all((part < 200).mean() > 0.005 for part in thirds)


def test_a_run_of_one_epoch_has_curves_too() -> None:
    assert curves(metrics(1, measured=False), "short").startswith(b"\x89PNG")


@pytest.mark.parametrize("spread", [1.0, 1.1, 1e4])
def test_distances_are_marked_in_plain_numbers(
    monkeypatch: pytest.MonkeyPatch, spread: float
) -> None:
    figures: list[Figure] = []
    savefig = Figure.savefig

    def kept(self: Figure, *arguments: Any, **more: Any) -> None:
        figures.append(self)
        savefig(self, *arguments, **more)

    monkeypatch.setattr(Figure, "savefig", kept)
    lines = metrics(4, measured=True)
    lines[3]["frechet"] = lines[1]["frechet"] / spread
    curves(lines, "a run")
    axis = figures[0].axes[-1].yaxis
    first, last = axis.get_view_interval()
    marks = [
        label.get_text()
        for label, place in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
        if first <= place <= last
    ]
    assert len({float(mark) for mark in marks}) == len(marks) >= 2
