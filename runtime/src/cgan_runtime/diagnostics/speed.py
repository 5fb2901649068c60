"""How fast a generator draws on this machine."""

import statistics
import time
from dataclasses import dataclass

from cgan_runtime.generator import ImageGenerator

BATCH = 1024
ROUNDS = 9
SECONDS = 0.03  # a round at least


@dataclass(frozen=True)
class Speed:
    """Medians; a machine that does other things besides shows it here."""

    latency: float  # seconds to draw one image, noise included
    throughput: float  # images a second in batches of 1,024


def measure_speed(generator: ImageGenerator) -> Speed:
    """Time a generator; a good half of a second."""
    labels = [index % generator.info.classes for index in range(BATCH)]
    one, many = (_seconds(generator, wanted) for wanted in (labels[:1], labels))
    return Speed(latency=one, throughput=BATCH / many)


def _seconds(generator: ImageGenerator, labels: list[int]) -> float:
    """Return the median over rounds of what one call takes."""
    generator.generate(labels, seed=0)
    rounds = []
    for _ in range(ROUNDS):
        began, calls = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            generator.generate(labels, seed=0)
            calls += 1
        rounds.append((time.perf_counter() - began) / calls)
    return statistics.median(rounds)
