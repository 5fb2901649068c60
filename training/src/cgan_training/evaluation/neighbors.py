"""Precision, recall, density and coverage by nearest neighbours in the judge's features.

Each real image, and each drawn one, has a ball that reaches to its k-th nearest neighbour among
its like. Precision and recall: Kynkäänniemi et al. 2019, equations 1 and 2. Density and coverage,
which single outliers move less: Naeem et al. 2020, equations 4 and 5.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

K = 5
CHUNK = 1000  # rows of distances at a time: 40 MB against 10,000 points


@dataclass(frozen=True)
class Neighborhood:
    """Real points, and how far their neighbours are."""

    points: Tensor  # float32 [n, dim]
    radii: Tensor  # float32 [n], distance to the k-th nearest other point

    @classmethod
    def of(cls, points: Tensor) -> "Neighborhood":
        """Measure points float32 [n, dim], n >= 2; fewer than K others make a smaller k."""
        return cls(points, _radii(points))


@dataclass(frozen=True)
class Overlap:
    """How two sets of points cover each other."""

    precision: float  # share of drawn points within a real ball, 0 .. 1
    recall: float  # share of real points within a drawn ball, 0 .. 1
    density: float  # real balls around a drawn point, over k: about 1 for equal sets, or more
    coverage: float  # share of real balls that hold a drawn point, 0 .. 1


def overlap(real: Neighborhood, drawn: Tensor) -> Overlap:
    """Compare drawn points, float32 [m, dim], m >= 2, with real ones; best with m = n."""
    k = min(K, len(real.points) - 1)
    radii = _radii(drawn)
    within, balls = 0, 0
    recalled = torch.zeros(len(real.points), dtype=torch.bool)
    nearest = torch.full((len(real.points),), torch.inf)
    for points, reach in zip(drawn.split(CHUNK), radii.split(CHUNK), strict=True):
        distances = torch.cdist(points, real.points)  # [chunk, n]
        inside = distances <= real.radii
        within += int(inside.any(1).sum())
        balls += int(inside.sum())
        recalled |= (distances <= reach[:, None]).any(0)
        nearest = torch.minimum(nearest, distances.amin(0))
    return Overlap(
        precision=within / len(drawn),
        recall=recalled.double().mean().item(),
        density=balls / (k * len(drawn)),
        coverage=(nearest <= real.radii).double().mean().item(),
    )


def _radii(points: Tensor) -> Tensor:
    k = min(K, len(points) - 1)
    if k < 1:
        raise ValueError(f"{len(points)} points have no neighbours; at least 2 are needed")
    # The nearest of all is the point itself.
    parts = [torch.cdist(part, points).kthvalue(k + 1).values for part in points.split(CHUNK)]
    return torch.cat(parts)
