"""The picture of training curves."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from cgan_training.pictures.curves import draw_curves


def metrics(epochs: int, *, measured: bool) -> list[dict[str, Any]]:
    """Return a run's metrics; `measured` adds quality metrics to every second epoch."""
    lines: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        line = {"epoch": epoch, "loss_generator": 2 / epoch, "loss_discriminator": 0.5}
        line |= {"mean_d_real": 0.7, "mean_d_fake": 0.3}
        if measured and epoch % 2 == 0:
            line |= {"label_accuracy": 1 - 1 / epoch, "recall": 0.5, "coverage": 0.6}
            line |= {"frechet": 10 / epoch}
        lines.append(line)
    return lines


@pytest.mark.parametrize(
    ("epochs", "measured", "width"), [(6, False, 1000), (1, False, 1000), (6, True, 1500)]
)
def test_measured_quality_gets_a_plot(*, epochs: int, measured: bool, width: int) -> None:
    png = draw_curves(metrics(epochs, measured=measured), "a run")
    with Image.open(BytesIO(png)) as picture:
        assert picture.size == (width, 400)
        pixels = np.asarray(picture.convert("L"))
    plots = np.array_split(pixels, width // 500, axis=1)
    assert all((part < 200).mean() > 0.005 for part in plots)


def test_the_colors_are_those_of_the_tutorial(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    draw_curves(metrics(2, measured=False), "a run")
    colors = {line.get_label(): to_hex(line.get_color()) for line in figures[0].axes[0].lines}
    assert colors == {"discriminator": "#1f77b4", "generator": "#ff7f0e"}  # C0 and C1


@pytest.mark.parametrize("ratio", [1.0, 1.1, 1e4])
def test_tick_labels_of_distances_are_plain_numbers(
    monkeypatch: pytest.MonkeyPatch, ratio: float
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    lines = metrics(4, measured=True)
    lines[3]["frechet"] = lines[1]["frechet"] / ratio
    draw_curves(lines, "a run")
    axis = figures[0].axes[-1].yaxis
    first, last = axis.get_view_interval()
    visible = [
        label.get_text()
        for label, position in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
        if first <= position <= last
    ]
    assert len({float(text) for text in visible}) == len(visible) >= 2
