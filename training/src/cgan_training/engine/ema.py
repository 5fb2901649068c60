"""Exponential moving average of the generator's weights."""

from typing import cast

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cgan_training.networks import Generator


class EmaGenerator:
    """A copy of the generator whose weights follow it as an exponential moving average.

    Args:
        generator: the network to follow.
        decay: of the average per step, 0 < decay < 1.
    """

    def __init__(self, generator: Generator, decay: float) -> None:
        self._current, self._decay = generator, decay
        self.model = AveragedModel(generator)
        self.generator = cast(Generator, self.model.module)  # has the averaged weights

    def update(self, step: int) -> None:
        """Move the average toward the current weights after a step, counted from 1.

        AveragedModel.update_parameters() would do the same, but it synchronizes with the device.
        """
        decay = warm_up_decay(self._decay, step) if step > 1 else 0.0  # the first update copies
        averaged, current = list(self.model.parameters()), list(self._current.parameters())
        get_ema_multi_avg_fn(decay)(averaged, current, self.model.n_averaged)
        self.model.n_averaged += 1


def warm_up_decay(decay: float, step: int) -> float:
    """Return the decay at a step, counted from 1: lower at first, so that early weights fade."""
    return min(decay, step / (step + 9))
