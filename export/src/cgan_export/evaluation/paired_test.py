"""A sequential test of the label accuracy that an exported file loses.

The trained network and the exported file generate image i from the same noise and label. The
difference of the pair is 1 if only the trained network's image is classified as its label, -1 if
only the file's image is, and 0 otherwise. The mean difference is the loss. It varies far less than
with two independent sets of images, because most pairs agree (McNemar 1947).

The test is an e-process for the mean of a bounded variable (Waudby-Smith & Ramdas 2024, "Estimating
means of bounded random variables by betting", section 4). It bets against the hypothesis that the
loss is at most the limit. The capital starts at 1, and each pair multiplies it by
1 + bet * (difference - limit). If the hypothesis is true, the expected capital does not grow. The
probability that the capital ever reaches 1 / ERROR_LEVEL is then at most ERROR_LEVEL (Ville 1939).
This holds for any number of pairs and of evaluations of the test, without an approximation.

The labels may cycle through the classes, which may differ in their loss. The expected capital still
does not grow over a whole cycle. It is multiplied by the product of the expected factors of the
labels, whose geometric mean is at most their arithmetic mean, which is at most 1.

Negative bets test the hypothesis that the loss is at least the limit. The capital of several bets
is averaged, because the best bet depends on the loss.
"""

import math
from dataclasses import dataclass

ERROR_LEVEL = 0.01  # maximum probability of rejecting a hypothesis that is true
# Bets as fractions of 1 / (1 + limit). No pair makes the capital negative with a bet of this size,
# of either sign. The best bet is about the excess of the loss divided by the variance of the
# differences, so the bets span a factor of 128.
BET_FRACTIONS = tuple(0.99 * 0.5**power for power in range(8))


@dataclass(frozen=True)
class PairCounts:
    """Counts of image pairs."""

    images: int  # number of all pairs
    lost: int  # pairs in which only the trained network's image is classified as its label
    gained: int  # pairs in which only the exported file's image is classified as its label

    def __add__(self, other: "PairCounts") -> "PairCounts":
        return PairCounts(
            self.images + other.images, self.lost + other.lost, self.gained + other.gained
        )


def loss_exceeds(counts: PairCounts, limit: float) -> bool:
    """Return whether it is proven that the loss exceeds the limit, 0 <= limit < 1."""
    return _is_rejected(counts, limit, 1)


def loss_is_within(counts: PairCounts, limit: float) -> bool:
    """Return whether it is proven that the loss does not exceed the limit, 0 <= limit < 1."""
    return _is_rejected(counts, limit, -1)


def _is_rejected(counts: PairCounts, limit: float, sign: int) -> bool:
    """Return whether the bets reject "at most the limit" (sign 1) or "at least" (sign -1)."""
    ties = counts.images - counts.lost - counts.gained
    logarithms = []  # logarithm of the capital for each bet
    for fraction in BET_FRACTIONS:
        bet = sign * fraction / (1 + limit)
        logarithms.append(
            counts.lost * math.log1p(bet * (1 - limit))
            + counts.gained * math.log1p(-bet * (1 + limit))
            + ties * math.log1p(-bet * limit)
        )
    largest = max(logarithms)
    mean = sum(math.exp(each - largest) for each in logarithms) / len(BET_FRACTIONS)
    return largest + math.log(mean) >= -math.log(ERROR_LEVEL)
