"""Log the progress of a classifier's training."""

import logging
import math
import time

from torch import Tensor
from tqdm import tqdm

# Smallest number of seconds between two log lines: at the end of an epoch, and within an epoch.
EPOCH_SECONDS, STEP_SECONDS = 5.0, 20.0
_logger = logging.getLogger(__name__)


class ClassifierProgress:
    """Logs the epoch, the loss of a batch, images per second and the time left.

    Args:
        epochs: total passes over the images.
        steps: training steps per epoch.
        batch_size: images per step.
        done: epochs that an earlier process has trained.
    """

    def __init__(self, epochs: int, steps: int, batch_size: int, done: int) -> None:
        self._epochs, self._steps, self._batch_size = epochs, steps, batch_size
        self._step = self._first = done * steps
        self._start = self._logged = time.perf_counter()

    def step(self, loss: Tensor) -> None:
        """Count a step. Log a line with its loss if enough time has passed since the last line."""
        self._step += 1
        now = time.perf_counter()
        interval = EPOCH_SECONDS if self._step % self._steps == 0 else STEP_SECONDS
        if self._step == self._total:
            interval = 0.0
        if now - self._logged < interval:
            return
        self._logged = now
        seconds_per_step = (now - self._start) / (self._step - self._first)
        left = round((self._total - self._step) * seconds_per_step)
        _logger.info(
            "classifier epoch %d/%d  loss %.3f  %s images/s  %s left",
            math.ceil(self._step / self._steps),
            self._epochs,
            loss.item(),
            f"{self._batch_size / seconds_per_step:,.0f}",
            tqdm.format_interval(left),
        )

    @property
    def _total(self) -> int:
        return self._epochs * self._steps
