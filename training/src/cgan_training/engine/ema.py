"""Exponential moving average of the generator's weights."""

from typing import cast

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cgan_training.networks import Generator


class EmaGenerator:
    """A copy of the generator whose weights follow it as an exponential moving average.

    Args:
        generator: the network to follow.
        decay: of the average per step, 0 < decay < 1.
    """

    def __init__(self, generator: Generator, decay: float) -> None:
        self._generator, self._decay = generator, decay
        self.model = AveragedModel(generator)

    @property
    def generator(self) -> Generator:
        """The network with the averaged weights."""
        return cast(Generator, self.model.module)

    def update(self, step: int) -> None:
        """Move the average toward the current weights.

        AveragedModel.update_parameters() would do the same, but it synchronizes with the device.

        Args:
            step: number of steps before this one. The first update copies the weights.
        """
        decay = warm_up_decay(self._decay, step + 1) if step else 0.0
        averaged, current = list(self.model.parameters()), list(self._generator.parameters())
        get_ema_multi_avg_fn(decay)(averaged, current, self.model.n_averaged)
        self.model.n_averaged += 1

    def parameters(self) -> list[nn.Parameter]:
        """Return the averaged weights."""
        return list(self.model.parameters())


def warm_up_decay(decay: float, step: int) -> float:
    """Return the decay at a step, counted from 1: lower at first, so that early weights fade."""
    return min(decay, step / (step + 9))
