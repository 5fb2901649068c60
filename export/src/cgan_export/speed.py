"""How fast a file draws, on one thread of this machine."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from cgan_runtime import DigitGenerator

BATCH = 1024
ROUNDS = 7
SECONDS = 0.03  # a round at least


@dataclass(frozen=True)
class Speed:
    """Medians; a machine that does other things besides shows it here."""

    latency: float  # seconds to draw one image, noise included
    throughput: float  # images a second in batches of 1,024


def measure_speed(path: Path) -> Speed:
    """Time a file through the runtime.

    Raises:
        cgan_runtime.ModelError: it cannot be drawn with.
    """
    with DigitGenerator(path, provider="cpu", threads=1) as generator:
        label = [index % generator.info.classes for index in range(BATCH)]
        one, many = (_seconds(generator, labels) for labels in (label[:1], label))
    return Speed(latency=one, throughput=BATCH / many)


def _seconds(generator: DigitGenerator, labels: list[int]) -> float:
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
