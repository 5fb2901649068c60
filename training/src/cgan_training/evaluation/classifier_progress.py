"""Log the progress of a classifier's training, in lines like those of a run."""

import logging
import time

from torch import Tensor
from tqdm import tqdm

# A line appears after an epoch, but not for each of many short ones, and within a long one.
EPOCH_SECONDS, MAX_SECONDS = 5.0, 20.0
_log = logging.getLogger(__name__)


class ClassifierProgress:
    """Logs the epoch, the loss of a batch, images per second and the time left.

    Args:
        epochs: passes over the images in total.
        steps: training steps per epoch.
        batch_size: images per step.
        done: epochs that an earlier process has trained.
    """

    def __init__(self, epochs: int, steps: int, batch_size: int, done: int) -> None:
        self._epochs, self._steps, self._batch_size = epochs, steps, batch_size
        self._step = self._first = done * steps
        self._start = self._logged = time.perf_counter()

    def step(self, loss: Tensor) -> None:
        """Count a step with this loss; log a line if it is time."""
        self._step += 1
        now = time.perf_counter()
        is_last, ends_epoch = (self._step % each == 0 for each in (self._total, self._steps))
        interval = 0.0 if is_last else EPOCH_SECONDS if ends_epoch else MAX_SECONDS
        if now - self._logged < interval:
            return
        self._logged = now
        seconds_per_step = (now - self._start) / (self._step - self._first)
        left = round((self._total - self._step) * seconds_per_step)
        _log.info(
            "classifier epoch %d/%d  loss %.3f  %s images/s  %s left",
            *(-(-self._step // self._steps), self._epochs, loss.item()),
            *(f"{self._batch_size / seconds_per_step:,.0f}", tqdm.format_interval(left)),
        )

    @property
    def _total(self) -> int:
        return self._epochs * self._steps
