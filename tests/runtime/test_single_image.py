"""One image per call, in tensors that are reused."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference.single_image import PREFETCHED
from cgan_runtime.noise import standard_normal

SEED, IMAGES = 11, 200


@pytest.fixture
def labels() -> list[int]:
    return [index % 10 for index in range(IMAGES)]


def test_next_call_does_not_overwrite_an_image(generator: ImageGenerator) -> None:
    first = generator.generate([3], seed=SEED)
    before = first.copy()
    assert not np.array_equal(generator.generate([4], seed=SEED), before)
    np.testing.assert_array_equal(first, before)


def test_single_images_equal_a_batch(generator: ImageGenerator, labels: list[int]) -> None:
    batch = generator.generate(labels, seed=SEED).astype(int)
    alone = [generator.generate(label, seed=SEED, start=i) for i, label in enumerate(labels)]
    assert np.abs(np.concatenate(alone) - batch).max() <= 1  # float sums depend on the batch size


def test_threads_generate_independent_noise() -> None:
    expected = [standard_normal(seed, seed, 3, 64) for seed in range(IMAGES)]
    with ThreadPoolExecutor(4) as pool:
        noise = pool.map(lambda seed: standard_normal(seed, seed, 3, 64), range(IMAGES))
        np.testing.assert_array_equal(list(noise), expected)


def test_noise_does_not_depend_on_earlier_calls() -> None:
    first = standard_normal(5, 2**62, 1, 100)
    standard_normal(2**64 - 1, 7, 50, 3)
    np.testing.assert_array_equal(standard_normal(5, 2**62, 1, 100), first)


@given(
    first=st.sampled_from([0, 5, 2**40, 2**63 - 3 * PREFETCHED]),
    steps=st.lists(
        st.sampled_from([1, 1, 1, 1, 0, -1, 7, -PREFETCHED, PREFETCHED]), max_size=3 * PREFETCHED
    ),
    reseed=st.sets(st.integers(0, 3 * PREFETCHED)),
)
@settings(deadline=None, max_examples=40)
def test_prefetched_noise_is_right_in_any_order_of_images(
    tiny_model: Path, first: int, steps: list[int], reseed: set[int]
) -> None:
    with ImageGenerator(tiny_model, "cpu", threads=1) as generator:
        index, seed, last = first, 3, 2**63 - 1
        for number, step in enumerate(steps):
            seed += number in reseed
            index = min(max(index + step, 0), last)
            alone = generator.generate(4, seed=seed, start=index)
            two = generator.generate([4, 4], seed=seed, start=index) if index < last else None
            assert two is None or np.abs(alone[0].astype(int) - two[0]).max() <= 1


def test_last_image_of_a_seed_can_be_generated(generator: ImageGenerator) -> None:
    last = 2**63 - 1
    alone = [generator.generate(4, seed=1, start=each) for each in (last - 1, last)]
    both = generator.generate([4, 4], seed=1, start=last - 1)
    assert np.abs(np.concatenate(alone).astype(int) - both).max() <= 1


def test_close_releases_the_sessions(tiny_model: Path) -> None:
    generator = ImageGenerator(tiny_model, "cpu", threads=1)
    generator.generate([1], seed=SEED)
    generator.close()
    assert generator._sessions is None
    assert generator._single is None
