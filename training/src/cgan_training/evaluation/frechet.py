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
    def of(cls, features: Tensor) -> "Gaussian":
        """Fit one to features float [n, dim], n >= 1; a single one has no variance."""
        points = features.double()
        mean = points.mean(0)
        spread = points - mean
        return cls(mean, spread.T @ spread / max(1, len(points) - 1))

    @property
    def total_variance(self) -> float:
        """Sum of the variances of all dimensions."""
        return self.covariance.trace().item()


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), 0 or more.

    It depends on the number of samples: fewer give more. Compare sets of the same size.
    """
    values, vectors = torch.linalg.eigh(one.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # C1^(1/2) C2 C1^(1/2) has the eigenvalues of C1 C2 and is symmetric.
    shared = torch.linalg.eigvalsh(root @ other.covariance @ root).clamp(min=0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum()
    distance = apart + one.covariance.trace() + other.covariance.trace() - 2 * shared
    return max(0.0, float(distance))
