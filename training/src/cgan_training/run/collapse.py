"""Detect a collapsed generator, which returns the same image for every noise and label."""

from pathlib import Path

from torch import Tensor

from cgan_training.engine import EpochMetrics
from cgan_training.errors import CollapsedError

# Below this mean standard deviation of a pixel, all images of a sample sheet count as equal.
MIN_SHEET_DEVIATION = 0.5
# Limits that distinguish the causes of a collapse. If the discriminator wins, the generator's loss
# is near 10 (docs/tutorial/gallery.md), and the mean probabilities of "real" differ by almost 1.
DIVERGED_LOSS, DISCRIMINATOR_WINS = 100.0, 0.9


def require_variety(images: Tensor, epoch: EpochMetrics, run_dir: Path) -> None:
    """Raise CollapsedError if the images of an epoch's sample sheet are all the same."""
    if images.float().std(dim=0).mean() < MIN_SHEET_DEVIATION:
        raise CollapsedError(
            f"after epoch {epoch.epoch} the generator returns the same image for every noise and "
            f"label (see {run_dir}/samples){_cause(epoch)}"
        )


def _cause(epoch: EpochMetrics) -> str:
    """Return the end of the message: the cause as the metrics show it, and what to do."""
    loss = max(abs(epoch.loss_generator), abs(epoch.loss_discriminator))
    if loss > DIVERGED_LOSS:
        return f", and the losses diverge ({loss:,.0f}); divide the recipe's learning_rate by ten"
    if epoch.mean_d_real - epoch.mean_d_fake > DISCRIMINATOR_WINS:
        return (
            ", and the discriminator is sure about every image (its mean output is "
            f"{epoch.mean_d_real:.2f} for real and {epoch.mean_d_fake:.2f} for generated ones); "
            "weaken the discriminator (fewer units, a lower learning_rate), or help the generator "
            "(batch_norm, more units)"
        )
    return "; lower the recipe's learning_rate, or change its seed"
