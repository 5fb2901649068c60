"""The Fréchet distance between two sets of features (Heusel et al. 2017, equation 6)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of features."""

    mean: Tensor  # float64 [dim]
    covariance: Tensor  # float64 [dim, dim]

    @classmethod
    def fit(cls, features: Tensor) -> "Gaussian":
        """Fit a Gaussian to features, float [n, dim], n >= 1; with n = 1 the covariance is 0."""
        points = features.double()
        mean = points.mean(0)
        centered = points - mean
        return cls(mean, centered.T @ centered / max(1, len(points) - 1))

    @property
    def total_variance(self) -> float:
        """Sum of the variances of all dimensions."""
        return self.covariance.trace().item()


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), 0 or more.

    The fewer the samples, the larger the distance, so compare only sets of the same size.
    """
    values, vectors = torch.linalg.eigh(first.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # C1^(1/2) C2 C1^(1/2) is symmetric and has the same eigenvalues as C1 C2.
    shared = torch.linalg.eigvalsh(root @ second.covariance @ root).clamp(min=0).sqrt().sum()
    apart = (first.mean - second.mean).square().sum()
    return max(0.0, float(apart + first.total_variance + second.total_variance - 2 * shared))
