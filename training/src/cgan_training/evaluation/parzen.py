"""Parzen-window log-likelihood, as in table 1 of Mirza & Osindero 2014 (theirs: 132 +- 1.8).

The protocol is that of Goodfellow et al. 2014, section 5, after Breuleux et al. 2011. Each of
10,000 generated images, with pixels in 0..1, becomes a Gaussian window of width sigma. Sigma is the
value of a grid with the highest likelihood on a part of the real images. The result is the mean
log-likelihood of the test set with its standard error. Here sigma is chosen on one half of the test
images and the result is that of the other half, so that no image serves for both.

Use the figure only for comparison with the paper. In 784 dimensions 10,000 windows hardly overlap,
so the figure only measures the pixel distance to the nearest generated image. Real training images
do not get the best value, and the ranking of models is wrong (Theis et al. 2016, section 4).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SIGMAS = tuple(10 ** (-1 + step / 10) for step in range(8))  # 0.1 to 0.5
CHUNK = 500  # test images at a time; 20 MB with 10,000 windows


@dataclass(frozen=True)
class LogLikelihood:
    """Log-likelihood of test images under windows around generated images, in nats."""

    mean: float
    standard_error: float
    sigma: float  # width of the windows, with pixels in 0..1


def parzen_log_likelihood(generated: Tensor, real: Tensor) -> LogLikelihood:
    """Measure generated images against at least 4 real ones, all uint8 [n, 1, height, width]."""
    windows, points = generated.flatten(1).float() / 255, real.flatten(1).float() / 255
    # Even and odd images, because a sorted test set would be split by class otherwise.
    means = {sigma: _likelihoods(windows, points[::2], sigma).mean().item() for sigma in SIGMAS}
    sigma = max(means, key=lambda each: means[each])
    likelihoods = _likelihoods(windows, points[1::2], sigma)
    standard_error = (likelihoods.std() / math.sqrt(len(likelihoods))).item()
    return LogLikelihood(likelihoods.mean().item(), standard_error, round(sigma, 4))


def _likelihoods(windows: Tensor, points: Tensor, sigma: float) -> Tensor:
    """Return the log density of each point, float64 [n]."""
    dim = windows.shape[1]
    constant = math.log(len(windows)) + dim / 2 * math.log(2 * math.pi * sigma**2)
    parts = [
        torch.logsumexp(-torch.cdist(part, windows).square().double() / (2 * sigma**2), dim=1)
        for part in points.split(CHUNK)
    ]
    return torch.cat(parts) - constant
