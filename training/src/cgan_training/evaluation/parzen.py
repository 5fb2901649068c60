"""Parzen-window log-likelihood, as in table 1 of Mirza & Osindero 2014 (theirs: 132 +- 1.8).

The protocol is that of Goodfellow et al. 2014, section 5, after Breuleux et al. 2011: a Gaussian
of width sigma around each of 10,000 drawn images, pixels in 0 .. 1; sigma is the one of a grid
that makes a part of the real images likeliest; the mean log-likelihood of the test set is
reported with its standard error. Here sigma is chosen on the first half of the test images and
the figure is of the other half, so that no image serves for both.

The figure is given for comparison with the paper alone. It saturates: in 784 dimensions 10,000
windows hardly overlap, so it measures how near the nearest drawn image is in pixels, real training
images do not win it, and it ranks models wrongly (Theis et al. 2016, section 4).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SIGMAS = tuple(10 ** (-1 + step / 10) for step in range(8))  # 0.1 to 0.5
CHUNK = 500  # test images at a time: 20 MB against 10,000 windows


@dataclass(frozen=True)
class LogLikelihood:
    """Of the test images under windows around drawn ones, in nats."""

    mean: float
    standard_error: float
    sigma: float  # the windows' width, in pixels' range of 0 .. 1


def parzen_log_likelihood(drawn: Tensor, real: Tensor) -> LogLikelihood:
    """Measure drawn images against real ones, both uint8 [n, 1, height, width], real n >= 4."""
    windows, points = drawn.flatten(1).float() / 255, real.flatten(1).float() / 255
    # An even and an odd half, lest a sorted set split by class.
    chosen = {sigma: _likelihoods(windows, points[::2], sigma).mean().item() for sigma in SIGMAS}
    sigma = max(chosen, key=lambda each: chosen[each])
    found = _likelihoods(windows, points[1::2], sigma)
    return LogLikelihood(
        found.mean().item(), (found.std() / math.sqrt(len(found))).item(), round(sigma, 4)
    )


def _likelihoods(windows: Tensor, points: Tensor, sigma: float) -> Tensor:
    """Return the log density of each point, float64 [n]."""
    dim = windows.shape[1]
    constant = math.log(len(windows)) + dim / 2 * math.log(2 * math.pi * sigma**2)
    parts = [
        torch.logsumexp(-torch.cdist(part, windows).square().double() / (2 * sigma**2), dim=1)
        for part in points.split(CHUNK)
    ]
    return torch.cat(parts) - constant
