"""Exponential moving average of the generator's weights."""

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cgan_training.networks import Generator


def update_ema(averaged: AveragedModel, generator: Generator, decay: float, step: int) -> None:
    """Update the EMA of the generator's weights after step number `step`, counted from 1.

    AveragedModel.update_parameters() computes this too, but synchronizes with the device.
    """
    decay = warm_up_decay(decay, step) if step > 1 else 0.0  # the first update copies the weights
    weights, current = list(averaged.parameters()), list(generator.parameters())
    get_ema_multi_avg_fn(decay)(weights, current, averaged.n_averaged)
    averaged.n_averaged += 1


def warm_up_decay(decay: float, step: int) -> float:
    """Return the decay for a step. It is lower at first, so that the initial weights fade soon."""
    return min(decay, step / (step + 9))
