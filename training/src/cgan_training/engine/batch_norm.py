"""Calibration of batch norm statistics for the EMA of the weights."""

import torch
from torch import Tensor, nn

from cgan_training.networks import Generator

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
BATCHES, BATCH_SIZE = 20, 500  # number and size of the batches that the statistics are measured on


def has_batch_norm(network: nn.Module) -> bool:
    """Return whether a network has a batch norm layer."""
    return any(isinstance(module, NORMS) for module in network.modules())


def calibrate_batch_norm(generator: Generator, seed: int) -> None:
    """Measure the mean and variance of every batch norm layer, and switch to eval mode.

    The running statistics belong to the weights of training, not to their average (Izmailov et al.
    2018, sec. 3.2), so they are measured on images generated with random noise and labels.
    Networks without batch norm only change to eval mode.
    """
    norms = [module for module in generator.modules() if isinstance(module, NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    rng = torch.Generator(next(generator.parameters()).device).manual_seed(seed)
    generator.train()
    with torch.no_grad():
        for _ in range(BATCHES if norms else 0):
            generator(*random_inputs(generator, BATCH_SIZE, rng))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.eval()


def random_inputs(generator: Generator, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return random noise, float32 [count, noise_dim], and labels, int64 [count]."""
    shape, device = (count, generator.noise_dim), rng.device
    noise = torch.randn(shape, generator=rng, device=device)
    return noise, torch.randint(generator.classes, (count,), generator=rng, device=device)
