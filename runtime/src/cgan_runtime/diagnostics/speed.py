"""Measure how fast a generator is on this machine."""

import statistics
import time
from dataclasses import dataclass

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.contract import MAX_BATCH

ROUNDS = 9  # number of measurements, of which the median counts
MIN_ROUND_SECONDS = 0.03


@dataclass(frozen=True)
class Speed:
    """Latency and throughput: medians of several rounds. Other work on the machine worsens them."""

    latency: float  # seconds for one image, including its noise
    throughput: float  # images per second in batches of MAX_BATCH


def measure_speed(generator: ImageGenerator) -> Speed:
    """Measure latency and throughput, which takes about half a second."""
    labels = [index % generator.info.classes for index in range(MAX_BATCH)]
    latency, batch_seconds = _seconds(generator, labels[:1]), _seconds(generator, labels)
    return Speed(latency=latency, throughput=MAX_BATCH / batch_seconds)


def _seconds(generator: ImageGenerator, labels: list[int]) -> float:
    """Return the median time of one call in seconds."""
    generator.generate(labels, seed=0)
    rounds = []
    for _ in range(ROUNDS):
        started, calls = time.perf_counter(), 0
        while time.perf_counter() - started < MIN_ROUND_SECONDS:
            generator.generate(labels, seed=0)
            calls += 1
        rounds.append((time.perf_counter() - started) / calls)
    return statistics.median(rounds)
