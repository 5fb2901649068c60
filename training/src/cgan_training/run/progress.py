"""What a run shows while it goes on: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType

from torch import Tensor
from tqdm import tqdm

from cgan_training.engine.trainer import Epoch

REFRESH_SECONDS = 1.0  # reading the losses waits for the device, so it is done rarely


class Progress:
    """Shows the epoch, losses, images a second and time left.

    Args:
        epochs: of the whole run.
        steps_per_epoch: of each.
        batch_size: images a step.
        until: seconds of training after which the run ends, finished or not.
        say: told a plain line at the end of each epoch where stderr is no terminal.
    """

    def __init__(
        self,
        epochs: int,
        steps_per_epoch: int,
        batch_size: int,
        until: float,
        say: Callable[[str], None],
    ) -> None:
        self._until = until
        self._epochs, self._steps, self._say = epochs, steps_per_epoch, say
        self._batch_size, self._shown = batch_size, 0.0
        self._plain = not sys.stderr.isatty()
        self._bar = tqdm(
            total=epochs * steps_per_epoch * batch_size,
            unit="img",
            unit_scale=True,
            dynamic_ncols=True,
            smoothing=0.05,
            disable=self._plain,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def start_epoch(self, epoch: int, step: int) -> None:
        """Say which epoch begins, counted from 1, and at which step of the run."""
        self._bar.set_description(f"epoch {epoch}/{self._epochs}")
        if self._bar.n == 0:  # what a resumed run did before is neither work nor time of this one
            self._bar.initial = self._bar.n = step * self._batch_size

    def step(self, done: int, sums: Tensor) -> None:
        """Count one step.

        Args:
            done: steps of this epoch done.
            sums: float64 [4]: the sums so far of both losses and mean D on real and fake.
        """
        if self._plain:
            return
        self._bar.update(self._batch_size)
        now = time.perf_counter()
        if now - self._shown >= REFRESH_SECONDS:
            self._shown = now
            loss_g, loss_d = (sums[:2] / done).tolist()
            self._bar.set_postfix_str(f"G {loss_g:.3f} D {loss_d:.3f}", refresh=False)

    def end_epoch(self, epoch: Epoch) -> None:
        """Say what the epoch gave, where there is no bar."""
        if self._plain:
            left = (self._epochs - epoch.epoch) * epoch.seconds / epoch.epoch
            left = max(0.0, min(left, self._until - epoch.seconds))
            self._say(
                f"epoch {epoch.epoch}/{self._epochs}  "
                f"loss G {epoch.loss_generator:.3f} D {epoch.loss_discriminator:.3f}  "
                f"D(real) {epoch.mean_d_real:.2f} D(fake) {epoch.mean_d_fake:.2f}  "
                f"{epoch.images_per_second:,.0f} images/s  {_clock(left)} left"
            )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
