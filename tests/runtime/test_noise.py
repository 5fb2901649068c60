"""The noise, compared with the rule of docs/contract.md, which is implemented here in integers."""

import bisect
import math
import re
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cgan_runtime import noise
from cgan_runtime.errors import InputError
from cgan_runtime.noise import standard_normal, thresholds

DOCUMENT = Path(__file__).parents[2] / "docs" / "contract.md"
MASK = 2**64 - 1
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
INCREMENTS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
STARTS = (0, 1, 10**6, 2**40)
SEEDS = st.integers(0, 2**64 - 1)


def philox(counter: int, key: tuple[int, int]) -> list[int]:
    """Philox4x64-10 of Salmon et al. 2011: the four words of a 256-bit counter."""
    word = [counter >> shift & MASK for shift in (0, 64, 128, 192)]
    for _ in range(10):
        first, second = MULTIPLIERS[0] * word[0], MULTIPLIERS[1] * word[2]
        word = [
            second >> 64 ^ word[1] ^ key[0],
            second & MASK,
            first >> 64 ^ word[3] ^ key[1],
            first & MASK,
        ]
        key = (key[0] + INCREMENTS[0]) & MASK, (key[1] + INCREMENTS[1]) & MASK
    return word


def expected_steps(seed: int, index: int, noise_dim: int) -> list[int]:
    """The noise of an image as integers, in units of 1/32."""
    below = [round(2**16 * NormalDist().cdf((step + 0.5) / 32)) for step in range(-127, 127)]
    block = math.ceil(noise_dim / 16)
    steps: list[int] = []
    for counter in range(index * block + 1, index * block + block + 1):
        for word in philox(counter, (seed, 0)):
            numbers = [word >> shift & 0xFFFF for shift in (0, 16, 32, 48)]
            steps += [bisect.bisect_right(below, number) - 127 for number in numbers]
    return steps[:noise_dim]


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # Random123's tests/kat_vectors, "philox4x64 10"; here the counter's lowest word comes last
        (0, (0, 0), "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
        (
            2**256 - 1,
            (MASK, MASK),
            "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
        ),
        (
            0x082EFA98EC4E6C89_A4093822299F31D0_13198A2E03707344_243F6A8885A308D3,
            (0x452821E638D01377, 0xBE5466CF34E90C6C),
            "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
        ),
    ],
)
def test_reference_philox_matches_published_vectors(
    counter: int, key: tuple[int, int], words: str
) -> None:
    assert " ".join(f"{word:016x}" for word in philox(counter, key)) == words


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
@pytest.mark.parametrize("noise_dim", [1, 6, 16, 17, 64, 100])
def test_noise_follows_the_rule(seed: int, noise_dim: int) -> None:
    # The last start is where the counter exceeds 64 bits, between two images or within one.
    block = math.ceil(noise_dim / 16)
    for start in (*STARTS, 2**63 - 3, min(2**64 // block - 1, 2**63 - 3)):
        actual = standard_normal(seed, start, 3, noise_dim)
        assert actual.shape == (3, noise_dim)
        assert actual.dtype == np.float32
        expected = [expected_steps(seed, start + row, noise_dim) for row in range(3)]
        np.testing.assert_array_equal(actual * 32, expected)


@pytest.mark.parametrize(
    ("seed", "index", "steps"),
    [
        (0, 0, [33, -58, 19, -73, 24, 9, -31, -22]),
        (0, 1, [-10, -29, -37, -6, 9, 28, -11, 64]),
        (7, 0, [68, -31, -26, 36, -21, 61, -48, -17]),
        (7, 1, [-17, 7, 17, -18, -3, 9, -59, -58]),
    ],
)
def test_noise_never_changes(seed: int, index: int, steps: list[int]) -> None:
    np.testing.assert_array_equal(standard_normal(seed, index, 1, 100)[0, :8] * 32, steps)


def test_vectors_in_the_document_are_right() -> None:
    section = DOCUMENT.read_text(encoding="utf-8").partition("### Test vectors")[2]
    rows = [
        [cell.strip().replace(",", "") for cell in re.split(r"\|", line)[1:-1]]
        for line in section.replace(", ", " ").splitlines()
        if line.startswith("| ") and "`0x" in line
    ]
    assert len(rows) >= 4
    for seed_text, index, dim, word, steps, last in rows:
        seed = 2**64 - 1 if seed_text == "2^64 - 1" else int(seed_text)
        noise_dim, block = int(dim), math.ceil(int(dim) / 16)
        assert word == f"`0x{philox(int(index) * block + 1, (seed, 0))[0]:016x}`"
        actual = standard_normal(seed, int(index), 1, noise_dim)[0] * 32
        expected = [int(each) for each in (*steps.split(), last)]
        np.testing.assert_array_equal(actual[[0, 1, 2, 3, 4, -1]], expected)


def test_thresholds_in_the_document_are_right() -> None:
    section = DOCUMENT.read_text(encoding="utf-8").partition("### The thresholds")[2]
    block = section.partition("### ")[0]
    assert [int(each) for each in re.findall(r"\d+", block.partition("    ")[2])] == thresholds()


def test_thresholds_do_not_depend_on_the_math_library() -> None:
    exact = [2**16 * NormalDist().cdf((step + 0.5) / 32) for step in range(-127, 127)]
    assert [round(each) for each in exact] == thresholds()
    assert min(abs(each % 1 - 0.5) for each in exact) > 1e-6  # none is near a rounding tie
    assert all(
        low + high == 2**16 for low, high in zip(thresholds(), thresholds()[::-1], strict=True)
    )


@given(
    seed=SEEDS,
    start=st.integers(0, 2**63 - 200),
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    noise_dim=st.integers(1, 130),
)
@settings(deadline=None, max_examples=60)
def test_any_split_of_the_images_gives_the_same_noise(
    seed: int, start: int, sizes: list[int], noise_dim: int
) -> None:
    whole = standard_normal(seed, start, sum(sizes), noise_dim)
    parts, first = [], start
    for size in sizes:
        parts.append(standard_normal(seed, first, size, noise_dim))
        first += size
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(seed=SEEDS, start=st.integers(0, 2**63 - 1), noise_dim=st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_noise_is_contiguous_and_in_range(seed: int, start: int, noise_dim: int) -> None:
    sample = standard_normal(seed, start, 1, noise_dim)
    assert sample.flags.c_contiguous
    assert np.abs(sample).max() <= 127 / 32
    np.testing.assert_array_equal(sample * 32, (sample * 32).round())


def test_noise_table_equals_the_thresholds_for_all_16_bit_numbers() -> None:
    bounds = thresholds()
    expected = [bisect.bisect_right(bounds, number) - 127 for number in range(2**16)]
    np.testing.assert_array_equal(noise._noise_table() * 32, expected)


@pytest.mark.parametrize(("word", "value"), [(0, -127 / 32), (2**64 - 1, 127 / 32)])
def test_smallest_and_largest_word_give_the_limits(
    monkeypatch: pytest.MonkeyPatch, word: int, value: float
) -> None:
    """Random inputs reach these words too rarely for a test."""

    def constant(_seed: int, _counter: int, counters: int) -> NDArray[np.uint64]:
        return np.full(4 * counters, word, "<u8")

    monkeypatch.setattr(noise, "_random_words", constant)
    np.testing.assert_array_equal(standard_normal(0, 0, 1, 2)[0], [value, value])


def test_noise_has_the_moments_of_a_standard_normal() -> None:
    sample = standard_normal(11, 0, 10_000, 100).astype(np.float64)  # a million numbers
    assert abs(sample.mean()) < 0.004
    assert abs(sample.std() - 1) < 0.003
    assert abs((sample**3).mean()) < 0.015
    assert abs((sample**4).mean() - 3) < 0.03
    inside = 2 * NormalDist().cdf(31.5 / 32) - 1  # rounded values below 1
    assert abs((np.abs(sample) < 1).mean() - inside) < 0.002
    assert abs(sample.mean(axis=0)).max() < 0.05  # of each dimension


@pytest.mark.parametrize("power", [1, 2])
def test_neighbors_are_uncorrelated(power: int) -> None:
    sample = standard_normal(12, 0, 10_000, 100).astype(np.float64) ** power
    other = standard_normal(13, 0, 10_000, 100).astype(np.float64) ** power
    neighbors = {
        "the halves of a pair": (sample[:, ::2], sample[:, 1::2]),
        "numbers": (sample[:, :-1], sample[:, 1:]),
        "images": (sample[:-1], sample[1:]),
        "seeds": (sample, other),
    }
    for kind, (left, right) in neighbors.items():
        correlation = np.corrcoef(left.ravel(), right.ravel())[0, 1]
        assert abs(correlation) < 0.006, kind


@pytest.mark.parametrize(
    ("seed", "start", "count"),
    [(-1, 0, 1), (2**64, 0, 1), (0, -1, 1), (0, 0, -1), (0, 2**63, 1), (0, 2**63 - 1, 2)],
)
def test_seed_or_start_out_of_range_is_rejected(seed: int, start: int, count: int) -> None:
    with pytest.raises(InputError, match=r"^(seed|start) .* out of range") as caught:
        standard_normal(seed, start, count, 6)
    if 0 <= seed < 2**64:
        assert f"start {start} and count {count} are " in str(caught.value)


@pytest.mark.parametrize("noise_dim", [0, -1, 2**31, 2**63])
def test_noise_dim_out_of_range_is_rejected(noise_dim: int) -> None:
    with pytest.raises(InputError, match="noise_dim is "):
        standard_normal(0, 0, 1, noise_dim)


def test_unaddressable_amount_of_noise_is_a_memory_error() -> None:
    assert standard_normal(0, 0, 0, 2**31 - 1).shape == (0, 2**31 - 1)
    with pytest.raises(MemoryError):
        standard_normal(0, 0, 2**62, 2**31 - 1)


def test_last_image_and_zero_images_are_supported() -> None:
    assert standard_normal(0, 2**63 - 1, 1, 6).shape == (1, 6)
    assert standard_normal(0, 5, 0, 6).shape == (0, 6)


@pytest.mark.parametrize("number", [np.int64, np.uint64, np.int32, np.uint32])
def test_numpy_integers_give_the_same_noise(number: Any) -> None:
    index = int(np.iinfo(number).max) // 4  # fits, but its counters do not
    actual = standard_normal(number(7), number(index), 2, 100)
    np.testing.assert_array_equal(actual, standard_normal(7, index, 2, 100))


@pytest.mark.parametrize(("seed", "start"), [(7.5, 0), (7, 1.5)])
def test_fractions_are_rejected(seed: Any, start: Any) -> None:
    with pytest.raises(InputError, match="; give a whole number"):
        standard_normal(seed, start, 1, 6)
