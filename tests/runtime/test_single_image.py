"""One image a call, in tensors that are used again and again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference.single_image import AHEAD
from cgan_runtime.noise import FEW_CALLS, standard_normal

SEED, IMAGES = 11, 200


@pytest.fixture
def labels() -> list[int]:
    return [index % 10 for index in range(IMAGES)]


def test_an_image_outlives_the_next_one(generator: ImageGenerator) -> None:
    first = generator.generate([3], seed=SEED)
    kept = first.copy()
    assert not np.array_equal(generator.generate([4], seed=SEED), kept)
    np.testing.assert_array_equal(first, kept)


def test_alone_is_what_it_is_in_a_batch(generator: ImageGenerator, labels: list[int]) -> None:
    together = generator.generate(labels, seed=SEED).astype(int)
    alone = [generator.generate(label, seed=SEED, start=i) for i, label in enumerate(labels)]
    assert np.abs(np.concatenate(alone) - together).max() <= 1  # a float model's order of sums


def test_threads_share_a_generator(generator: ImageGenerator, labels: list[int]) -> None:
    promised = [generator.generate(label, seed=SEED, start=i) for i, label in enumerate(labels)]
    with ThreadPoolExecutor(4) as pool:
        drawn = pool.map(lambda i: generator.generate(labels[i], seed=SEED, start=i), range(IMAGES))
        np.testing.assert_array_equal(list(drawn), promised)


def test_threads_draw_noise_of_their_own() -> None:
    promised = [standard_normal(seed, seed, 3, 64) for seed in range(IMAGES)]
    with ThreadPoolExecutor(4) as pool:
        drawn = pool.map(lambda seed: standard_normal(seed, seed, 3, 64), range(IMAGES))
        np.testing.assert_array_equal(list(drawn), promised)


def test_noise_does_not_remember_what_was_drawn_before() -> None:
    for _ in range(FEW_CALLS):  # past the calls that Python works out
        standard_normal(0, 0, 1, 6)
    first = standard_normal(5, 2**62, 1, 100)
    standard_normal(2**64 - 1, 7, 50, 3)
    np.testing.assert_array_equal(standard_normal(5, 2**62, 1, 100), first)


@given(
    first=st.sampled_from([0, 5, 2**40, 2**63 - 3 * AHEAD]),
    steps=st.lists(st.sampled_from([1, 1, 1, 1, 0, -1, 7, -AHEAD, AHEAD]), max_size=3 * AHEAD),
    reseed=st.sets(st.integers(0, 3 * AHEAD)),
)
@settings(deadline=None, max_examples=40)
def test_noise_made_ahead_is_the_same(
    tiny_model: Path, first: int, steps: list[int], reseed: set[int]
) -> None:
    """In whatever order images are asked for."""
    with ImageGenerator(tiny_model, "cpu", threads=1) as generator:
        index, seed, last = first, 3, 2**63 - 1
        for number, step in enumerate(steps):
            seed += number in reseed
            index = min(max(index + step, 0), last)
            alone = generator.generate(4, seed=seed, start=index)
            two = generator.generate([4, 4], seed=seed, start=index) if index < last else None
            assert two is None or np.abs(alone[0].astype(int) - two[0]).max() <= 1


def test_the_last_image_of_a_seed(generator: ImageGenerator) -> None:
    last = 2**63 - 1
    before, alone = (generator.generate(4, seed=1, start=each) for each in (last - 1, last))
    both = generator.generate([4, 4], seed=1, start=last - 1)
    assert np.abs(np.concatenate([before, alone]).astype(int) - both).max() <= 1


def test_a_closed_generator_lets_go(tiny_model: Path) -> None:
    generator = ImageGenerator(tiny_model, "cpu", threads=1)
    generator.generate([1], seed=SEED)
    generator.close()
    assert generator._sessions is None
    assert generator._single is None
