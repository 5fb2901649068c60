"""Report the progress of a run: a bar on a terminal, otherwise one log line per epoch."""

import logging
import math
import time

from torch import Tensor
from tqdm import tqdm

from cgan_training.engine import EpochMetrics, Trainer

# The format omits tqdm's estimate of the time left, which ignores the time limit.
BAR_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"
ESTIMATE_SECONDS = 20.0  # training time after which the estimate of the time left is good enough
LONG_SECONDS = 3600.0  # a time limit is suggested if more training time is left
REFRESH_SECONDS = 1.0  # time between updates of the losses, because reading them waits for a GPU
_logger = logging.getLogger(__name__)


class Progress:
    """Reports the epoch, the losses, images per second and the time left.

    The attribute `bar` is a context manager that closes the bar at its end.
    """

    def __init__(self, trainer: Trainer, *, bar: bool) -> None:
        self._trainer, self._epochs, self._refreshed = trainer, trainer.recipe.epochs, 0.0
        self._estimate_at = trainer.seconds + ESTIMATE_SECONDS
        tqdm.monitor_interval = 0  # starts no monitor thread, because a system may refuse threads
        self.bar = tqdm(
            total=self._epochs * trainer.steps_per_epoch * trainer.batch_size,
            unit="img",
            unit_scale=True,
            dynamic_ncols=True,
            smoothing=0.05,
            bar_format=BAR_FORMAT,
            disable=not bar,
        )

    def start_epoch(self) -> None:
        """Show the number of the epoch that begins."""
        self.bar.set_description(f"epoch {self._trainer.epoch + 1}/{self._epochs}")
        if self.bar.n == 0:  # keeps the steps before a resume out of the bar's speed
            self.bar.initial = self.bar.n = self._trainer.step * self._trainer.batch_size

    def step(self, steps: int, sums: Tensor) -> None:
        """Count one step. See on_step in Trainer.train_epoch() for the arguments."""
        if self._trainer.seconds >= self._estimate_at:
            self._estimate_at = math.inf
            self._suggest_limit()
        if self.bar.disable:
            return
        self.bar.update(self._trainer.batch_size)
        now = time.perf_counter()
        if now - self._refreshed >= REFRESH_SECONDS:
            self._refreshed = now
            loss_g, loss_d = (sums[:2] / steps).tolist()
            self.bar.set_postfix_str(
                f"G {loss_g:.3f} D {loss_d:.3f}, {self._time_left()} left", refresh=False
            )

    def end_epoch(self, epoch: EpochMetrics) -> None:
        """Log the results of the epoch, unless there is a bar."""
        if not self.bar.disable:
            return
        text = (
            f"epoch {epoch.epoch}/{self._epochs}  loss G {epoch.loss_generator:.3f} "
            f"D {epoch.loss_discriminator:.3f}  D(real) {epoch.mean_d_real:.2f} "
            f"D(fake) {epoch.mean_d_fake:.2f}  {epoch.images_per_second:,.0f} images/s  "
            f"{self._time_left()} left"
        )
        _logger.info("%s", text)

    def _suggest_limit(self) -> None:
        """Suggest --minutes if the run has no time limit and takes long."""
        if math.isinf(self._trainer.seconds_limit) and self._seconds_left() > LONG_SECONDS:
            self.bar.clear()
            _logger.info(
                "note: the training takes about %s longer; to end it earlier with a complete "
                "model, press Ctrl-C and continue it with --resume and --minutes",
                self._time_left(),
            )

    def _time_left(self) -> str:
        """Return the time until the last epoch or the time limit, as MM:SS or H:MM:SS."""
        return str(tqdm.format_interval(max(0, round(self._seconds_left()))))

    def _seconds_left(self) -> float:
        trainer = self._trainer
        steps = self._epochs * trainer.steps_per_epoch - trainer.step
        return min(steps * trainer.seconds / trainer.step, trainer.seconds_limit - trainer.seconds)
