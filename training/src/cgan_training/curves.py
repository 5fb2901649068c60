"""The course of a run as a picture."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

DOTS_PER_INCH = 100


def curves(metrics: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """Draw the losses, and what the discriminator thinks of real and drawn images.

    Args:
        metrics: a run's metrics.jsonl, one table an epoch.
        title: written above.

    Returns:
        The bytes of a PNG.
    """
    from matplotlib.figure import Figure  # costs half a second: only a finished run needs it

    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, beliefs = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in metrics]
    for axes, key, name in (
        (losses, "loss_generator", "generator"),
        (losses, "loss_discriminator", "discriminator"),
        (beliefs, "mean_d_real", "on real images"),
        (beliefs, "mean_d_fake", "on drawn images"),
    ):
        axes.plot(epochs, [line[key] for line in metrics], label=name)
    losses.set(xlabel="epoch", ylabel="binary cross-entropy, nats", ylim=(0, None))
    beliefs.set(xlabel="epoch", ylabel="discriminator's mean probability of real", ylim=(0, 1))
    for axes in (losses, beliefs):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()
