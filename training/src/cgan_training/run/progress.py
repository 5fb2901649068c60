"""Report the progress of a run: a bar on a terminal, otherwise one log line per epoch."""

import logging
import time

from torch import Tensor
from tqdm import tqdm

from cgan_training.engine import EpochMetrics, Trainer

REFRESH_SECONDS = 1.0  # reading the losses waits for the device, so the bar shows them rarely
_logger = logging.getLogger(__name__)


class Progress:
    """Reports the epoch, the losses, images per second and the time left.

    Args:
        trainer: the run's trainer.
        seconds_limit: seconds of training after which the run ends.
        bar: show a bar on stderr instead of logging a line per epoch.
    """

    def __init__(self, trainer: Trainer, seconds_limit: float, *, bar: bool) -> None:
        self._epochs, self._batch_size = trainer.recipe.epochs, trainer.batch_size
        self._seconds_limit, self._has_bar, self._refreshed = seconds_limit, bar, 0.0
        self._bar = tqdm(
            total=self._epochs * trainer.steps_per_epoch * self._batch_size,
            unit="img",
            unit_scale=True,
            dynamic_ncols=True,
            smoothing=0.05,
            disable=not bar,
        )

    def start_epoch(self, epoch: int, step: int) -> None:
        """Show which epoch begins, counted from 1, and at which step of the run."""
        self._bar.set_description(f"epoch {epoch}/{self._epochs}")
        if self._bar.n == 0:  # the steps before a resume do not count for the bar's speed
            self._bar.initial = self._bar.n = step * self._batch_size

    def step(self, steps: int, sums: Tensor) -> None:
        """Count one step.

        Args:
            steps: completed steps of this epoch.
            sums: [4], over these steps; see Trainer.train_epoch().
        """
        if not self._has_bar:
            return
        self._bar.update(self._batch_size)
        now = time.perf_counter()
        if now - self._refreshed >= REFRESH_SECONDS:
            self._refreshed = now
            loss_g, loss_d = (sums[:2] / steps).tolist()
            self._bar.set_postfix_str(f"G {loss_g:.3f} D {loss_d:.3f}", refresh=False)

    def end_epoch(self, epoch: EpochMetrics) -> None:
        """Log the results of the epoch, unless there is a bar."""
        if self._has_bar:
            return
        seconds = (self._epochs - epoch.epoch) * epoch.seconds / epoch.epoch
        seconds = max(0.0, min(seconds, self._seconds_limit - epoch.seconds))
        _logger.info(
            "epoch %d/%d  loss G %.3f D %.3f  D(real) %.2f D(fake) %.2f  %s images/s  %s left",
            epoch.epoch,
            self._epochs,
            epoch.loss_generator,
            epoch.loss_discriminator,
            epoch.mean_d_real,
            epoch.mean_d_fake,
            f"{epoch.images_per_second:,.0f}",
            _clock(seconds),
        )

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
