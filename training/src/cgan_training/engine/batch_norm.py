"""The generator that is drawn with: a moving average of the one that learns."""

import torch
from torch import nn

from cgan_training.networks import Generator

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
BATCHES, BATCH = 20, 500  # drawn to estimate what batch norm needs


def warmed_up(decay: float, step: int) -> float:
    """Return the decay of a moving average at a step, counted from 1: it forgets its start."""
    return min(decay, step / (step + 9))


def calibrate_batch_norm(generator: Generator, seed: int) -> None:
    """Measure the means and variances that the generator's batch norms use when they draw.

    Averaged weights meet other activations than the weights that learnt, whose statistics batch
    norm keeps (Izmailov et al. 2018, section 3.2). It is left in eval mode. Networks without
    batch norm stay as they are.

    Args:
        generator: on any device.
        seed: of the noise and labels drawn for it.
    """
    norms = [each for each in generator.modules() if isinstance(each, NORMS)]
    if not norms:
        generator.eval()
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    device = next(generator.parameters()).device
    random = torch.Generator(device).manual_seed(seed)
    generator.train()
    with torch.no_grad():
        for _ in range(BATCHES):
            noise = torch.randn(BATCH, generator.noise_dim, generator=random, device=device)
            label = torch.randint(generator.classes, (BATCH,), generator=random, device=device)
            generator(noise, label)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.eval()
