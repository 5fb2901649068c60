"""Precision, recall, density and coverage by nearest neighbors in the classifier's features.

Each real and each generated image has a ball whose radius is the distance to its k-th nearest
neighbor in the same set. Precision and recall: Kynkäänniemi et al. 2019, equations 1 and 2.
Density and coverage, which are less sensitive to outliers: Naeem et al. 2020, equations 4 and 5.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

K = 5
CHUNK = 1000  # rows of distances at a time; they take 40 MB with 10,000 points


@dataclass(frozen=True)
class Neighborhood:
    """Real points and the radii of their balls."""

    points: Tensor  # float32 [n, dim]
    radii: Tensor  # float32 [n], distance to the k-th nearest other point

    @classmethod
    def fit(cls, points: Tensor) -> "Neighborhood":
        """Compute the radii of points, float32 [n, dim], n >= 2; k is at most n - 1."""
        return cls(points, _radii(points))


@dataclass(frozen=True)
class Overlap:
    """How far two sets of points cover each other."""

    precision: float  # share of generated points in the ball of a real one, 0 to 1
    recall: float  # share of real points in the ball of a generated one, 0 to 1
    density: float  # mean number of real balls around a generated point, over k; 1 if equal
    coverage: float  # share of real balls that contain a generated point, 0 to 1


def measure_overlap(real: Neighborhood, generated: Tensor) -> Overlap:
    """Compare generated points, float32 [m, dim], m >= 2, with n real points; m = n is best."""
    k = min(K, len(real.points) - 1)
    radii = _radii(generated)
    precise, balls = 0, 0
    recalled = torch.zeros(len(real.points), dtype=torch.bool)
    nearest = torch.full((len(real.points),), torch.inf)
    for chunk, chunk_radii in zip(generated.split(CHUNK), radii.split(CHUNK), strict=True):
        distances = torch.cdist(chunk, real.points)  # [chunk, n]
        inside = distances <= real.radii
        precise += int(inside.any(1).sum())
        balls += int(inside.sum())
        recalled |= (distances <= chunk_radii[:, None]).any(0)
        nearest = torch.minimum(nearest, distances.amin(0))
    return Overlap(
        precision=precise / len(generated),
        recall=recalled.double().mean().item(),
        density=balls / (k * len(generated)),
        coverage=(nearest <= real.radii).double().mean().item(),
    )


def _radii(points: Tensor) -> Tensor:
    k = min(K, len(points) - 1)
    if k < 1:
        raise ValueError(f"{len(points)} points have no neighbors; at least 2 are needed")
    # The k-th neighbor is the value k + 1 because the nearest point is the point itself.
    parts = [torch.cdist(part, points).kthvalue(k + 1).values for part in points.split(CHUNK)]
    return torch.cat(parts)
