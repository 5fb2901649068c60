"""The training curves of a run as a picture."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from cgan_training.pictures import plain_text_style

DOTS_PER_INCH = 100


@plain_text_style()
def draw_curves(metrics: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """Return a PNG that plots losses, discriminator outputs, and quality metrics if there are any.

    Args:
        metrics: the content of metrics.jsonl, one mapping per epoch.
        title: text above the plots.
    """
    from matplotlib.figure import Figure  # imported here, because it takes half a second

    evaluated = [epoch for epoch in metrics if "label_accuracy" in epoch]
    figure = Figure(figsize=(15 if evaluated else 10, 4), layout="constrained")
    losses, outputs, *quality = figure.subplots(1, 3 if evaluated else 2)
    for axes, key, name in (
        (losses, "loss_discriminator", "discriminator"),  # blue, as in the tutorial's pictures
        (losses, "loss_generator", "generator"),  # orange
        (outputs, "mean_d_real", "on real images"),
        (outputs, "mean_d_fake", "on generated images"),
    ):
        epochs, values = [epoch["epoch"] for epoch in metrics], [epoch[key] for epoch in metrics]
        axes.plot(epochs, values, label=name)
    losses.set(xlabel="epoch", ylabel="loss", ylim=(min(0, losses.get_ylim()[0]), None))
    outputs.set(xlabel="epoch", ylabel="discriminator's mean probability of real", ylim=(0, 1))
    for axes in (losses, outputs):
        axes.legend()
        axes.grid(alpha=0.3)
    for axes in quality:
        _plot_quality(axes, evaluated)
    figure.suptitle(title)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def _plot_quality(axes: Any, evaluated: Sequence[Mapping[str, Any]]) -> None:
    """Plot the quality metrics: shares on the left axis, the Fréchet distance on the right."""
    from matplotlib.ticker import LogLocator, NullFormatter

    epochs = [epoch["epoch"] for epoch in evaluated]
    for key in ("label_accuracy", "recall", "coverage"):
        values = [epoch.get(key, math.nan) for epoch in evaluated]
        axes.plot(epochs, values, ".-", label=key.replace("_", " "))
    axes.set(xlabel="epoch", ylabel="share", ylim=(0, 1))
    axes.grid(alpha=0.3)
    distances = axes.twinx()
    values = [epoch.get("frechet", math.nan) for epoch in evaluated]
    distances.plot(epochs, values, ".--", color="black")
    distances.set(ylabel="Fréchet distance (dashed)", yscale="log")
    # Matplotlib writes powers of ten as formulas, which plain_text_style() turns off.
    distances.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    distances.yaxis.set_major_formatter("{x:.3g}")
    distances.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="center right")
