"""A sequential test of the label accuracy that an exported file loses.

Both networks generate image i from the same noise and label. The difference of a pair is 1 if only
the trained network's image is classified as its label, -1 if only the file's is, and 0 otherwise.
Pairs that agree vary far less than two independent sets of images (McNemar 1947), and the mean
difference is the loss.

The test bets against the assumption that the loss is at most the limit. The capital starts at 1,
and each pair multiplies it by 1 + bet * (difference - limit). If the assumption is true, the mean
capital does not grow, so the capital ever reaches 1 / ERROR_LEVEL with a probability of at most
ERROR_LEVEL (Ville 1939). This holds for any number of pairs and of looks at the result, without an
approximation. The labels may alternate in cycles: a whole cycle does not let the mean grow either,
because the geometric mean of its factors is at most their arithmetic mean. The assumption that the
loss is at least the limit is tested with negative bets. (Waudby-Smith & Ramdas 2024, "Estimating
means of bounded random variables by betting", section 4. The capital of several bets is averaged,
because the best one depends on the unknown loss.)
"""

import math
from dataclasses import dataclass

ERROR_LEVEL = 0.01  # maximum probability of a wrong decision, for either assumption
# Shares of the largest bet that cannot lose everything. The best one is about the excess of the
# loss divided by the variance of the differences, so the shares span two orders of magnitude.
SHARES = tuple(0.99 * 0.5**power for power in range(8))


@dataclass(frozen=True)
class PairCounts:
    """Counts of image pairs."""

    images: int  # number of pairs
    lost: int  # classified as their label only if the trained network generates them
    gained: int  # classified as their label only if the exported file generates them

    def __add__(self, other: "PairCounts") -> "PairCounts":
        return PairCounts(
            self.images + other.images, self.lost + other.lost, self.gained + other.gained
        )


def exceeds(counts: PairCounts, limit: float) -> bool:
    """Return whether it is proven that the loss exceeds the limit, 0 <= limit < 1."""
    return _is_refuted(counts, limit, 1)


def is_within(counts: PairCounts, limit: float) -> bool:
    """Return whether it is proven that the loss does not exceed the limit, 0 <= limit < 1."""
    return _is_refuted(counts, limit, -1)


def _is_refuted(counts: PairCounts, limit: float, sign: int) -> bool:
    ties = counts.images - counts.lost - counts.gained
    logarithms = []  # of the capital of each bet
    for share in SHARES:
        bet = sign * share / (1 + limit)
        logarithms.append(
            counts.lost * math.log1p(bet * (1 - limit))
            + counts.gained * math.log1p(-bet * (1 + limit))
            + ties * math.log1p(-bet * limit)
        )
    largest = max(logarithms)
    mean = sum(math.exp(each - largest) for each in logarithms) / len(SHARES)
    return largest + math.log(mean) >= -math.log(ERROR_LEVEL)
