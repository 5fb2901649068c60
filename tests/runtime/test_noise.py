"""The noise against the rule as docs/contract.md states it, worked out here in whole numbers."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cgan_runtime import noise
from cgan_runtime.errors import InputError
from cgan_runtime.noise import counters_per_image, standard_normal

DOCUMENT = Path(__file__).parents[2] / "docs" / "contract.md"
MASK = 2**64 - 1
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
STARTS = (0, 1, 10**6, 2**40)


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
        key = (key[0] + WEYL[0]) & MASK, (key[1] + WEYL[1]) & MASK
    return word


def noise_by_the_rule(seed: int, index: int, noise_dim: int) -> list[float]:
    block = math.ceil(noise_dim / 4)
    normals: list[float] = []
    for counter in range(index * block + 1, index * block + block + 1):
        words = philox(counter, (seed, 0))
        for one, other in ((words[0], words[1]), (words[2], words[3])):
            first, second = ((one >> 11) + 1) * 2.0**-53, (other >> 11) * 2.0**-53
            radius, angle = math.sqrt(-2 * math.log(first)), 2 * math.pi * second
            normals += [radius * math.cos(angle), radius * math.sin(angle)]
    return normals[:noise_dim]


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # Random123's tests/kat_vectors, "philox4x64 10"; the counter's lowest word comes last here
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
def test_the_rules_words_are_the_published_ones(
    counter: int, key: tuple[int, int], words: str
) -> None:
    assert " ".join(f"{word:016x}" for word in philox(counter, key)) == words


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
@pytest.mark.parametrize("noise_dim", [1, 6, 64, 100])
def test_noise_follows_the_rule(seed: int, noise_dim: int) -> None:
    # Where a counter outgrows its first word: in an image of the last index and in mid-image.
    block = math.ceil(noise_dim / 4)
    for start in (*STARTS, 2**63 - 3, min(2**64 // block - 1, 2**63 - 3)):
        found = standard_normal(seed, start, 3, noise_dim)
        assert found.shape == (3, noise_dim)
        assert found.dtype == np.float32
        wanted = [noise_by_the_rule(seed, start + row, noise_dim) for row in range(3)]
        # The last bit of a logarithm or cosine is the platform's own.
        np.testing.assert_array_max_ulp(found, np.array(wanted, np.float32), maxulp=1)


@pytest.mark.parametrize(
    ("seed", "index", "normals"),
    [
        (0, 0, "0x1.44ad64p-3 0x1.7dcefep+1 -0x1.ecfa26p+0 -0x1.a65ca4p-1"),
        (0, 1, "-0x1.a9999ap-2 -0x1.aa55aap-2 0x1.38e5dcp-1 -0x1.320c34p+1"),
        (7, 0, "-0x1.2d5168p-3 0x1.0114d8p-1 -0x1.175266p+0 0x1.79a502p-1"),
        (7, 1, "-0x1.7caa0cp+0 0x1.221fd8p-2 0x1.24243ap+0 0x1.617abap-2"),
    ],
)
def test_noise_never_changes(seed: int, index: int, normals: str) -> None:
    wanted = np.array([float.fromhex(each) for each in normals.split()], np.float32)
    found = standard_normal(seed, index, 1, 100)[0, :4]
    np.testing.assert_array_max_ulp(found, wanted, maxulp=1)


def test_the_documents_vectors() -> None:
    section = DOCUMENT.read_text(encoding="utf-8").partition("### Test vectors")[2]
    cells = [
        [cell.strip().replace(",", "") for cell in re.split(r"\|", line)[1:-1]]
        for line in section.replace(", ", " ").splitlines()
        if line.startswith("| ") and "`0x" in line
    ]
    assert len(cells) >= 4
    for seed_text, index, dim, word, normals, last in cells:
        seed = 2**64 - 1 if seed_text == "2^64 - 1" else int(seed_text)
        noise_dim, block = int(dim), math.ceil(int(dim) / 4)
        assert word == f"`0x{philox(int(index) * block + 1, (seed, 0))[0]:016x}`"
        found = standard_normal(seed, int(index), 1, noise_dim)[0, [0, 1, 2, 3, -1]]
        wanted = np.array([float(each) for each in (*normals.split(), last)], np.float32)
        np.testing.assert_array_max_ulp(found, wanted, maxulp=1)


@given(
    seed=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**63 - 200),
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    noise_dim=st.integers(1, 130),
)
@settings(deadline=None, max_examples=60)
def test_any_split_of_the_images_gives_the_same_noise(
    seed: int, start: int, sizes: list[int], noise_dim: int
) -> None:
    whole = standard_normal(seed, start, sum(sizes), noise_dim)
    firsts = [sum(sizes[:part]) for part in range(len(sizes))]
    parts = [
        standard_normal(seed, start + first, size, noise_dim)
        for first, size in zip(firsts, sizes, strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(seed=st.integers(0, 2**64 - 1), start=st.integers(0, 2**63 - 1), noise_dim=st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_noise_is_finite_and_contiguous(seed: int, start: int, noise_dim: int) -> None:
    sample = standard_normal(seed, start, 1, noise_dim)
    assert np.isfinite(sample).all()
    assert sample.flags.c_contiguous
    assert np.abs(sample).max() < 9  # sqrt(-2 ln 2**-53) is 8.57


@pytest.mark.parametrize(
    ("word", "pair"), [(0, (math.sqrt(106 * math.log(2)), 0)), (2**64 - 1, (0, 0))]
)
def test_the_outermost_words(
    monkeypatch: pytest.MonkeyPatch, word: int, pair: tuple[float, float]
) -> None:
    """They come once in 2**53 draws, too seldom to be waited for."""

    class Stuck:
        def __init__(self, **_: object) -> None: ...

        def random_raw(self, size: int) -> NDArray[np.uint64]:
            return np.full(size, word, np.uint64)

    monkeypatch.setattr(noise, "Philox", Stuck)
    np.testing.assert_allclose(standard_normal(0, 0, 1, 2)[0], pair, rtol=1e-6, atol=1e-6)


def test_moments_are_those_of_a_standard_normal() -> None:
    sample = standard_normal(11, 0, 10_000, 100).astype(np.float64)  # a million numbers
    assert abs(sample.mean()) < 0.004
    assert abs(sample.std() - 1) < 0.003
    assert abs((sample**3).mean()) < 0.015
    assert abs((sample**4).mean() - 3) < 0.03
    assert abs((np.abs(sample) < 1).mean() - 0.6826895) < 0.002
    assert abs(sample.mean(axis=0)).max() < 0.05  # of every place


@pytest.mark.parametrize("power", [1, 2])  # the squares show a radius that two would share
def test_neighbours_do_not_depend_on_each_other(power: int) -> None:
    sample = standard_normal(12, 0, 10_000, 100).astype(np.float64) ** power
    other = standard_normal(13, 0, 10_000, 100).astype(np.float64) ** power
    neighbours = {
        "the two of a pair": (sample[:, ::2], sample[:, 1::2]),
        "numbers": (sample[:, :-1], sample[:, 1:]),
        "images": (sample[:-1], sample[1:]),
        "seeds": (sample, other),
    }
    for kind, (left, right) in neighbours.items():
        correlation = np.corrcoef(left.ravel(), right.ravel())[0, 1]
        assert abs(correlation) < 0.006, kind


@pytest.mark.parametrize(
    ("seed", "start", "count"),
    [
        (-1, 0, 1),
        (2**64, 0, 1),
        (0, -1, 1),
        (0, 0, -1),
        (0, 2**63, 1),
        (0, 2**63 - 1, 2),
    ],
)
def test_what_is_out_of_range_is_refused(seed: int, start: int, count: int) -> None:
    with pytest.raises(InputError, match="out of range"):
        standard_normal(seed, start, count, 6)


def test_the_last_image_and_no_images() -> None:
    assert standard_normal(0, 2**63 - 1, 1, 6).shape == (1, 6)
    assert standard_normal(0, 5, 0, 6).shape == (0, 6)


@pytest.mark.parametrize("number", [np.int64, np.uint64, np.int32, np.uint32])
def test_numpys_whole_numbers_mean_the_same(number: Any) -> None:
    index = int(np.iinfo(number).max) // 4  # fits, but its counters do not
    found = standard_normal(number(7), number(index), 2, 100)
    np.testing.assert_array_equal(found, standard_normal(7, index, 2, 100))


def test_fractions_are_not_rounded_in_silence() -> None:
    for seed, start in ((7.5, 0), (7, 1.5)):
        with pytest.raises((InputError, TypeError)):
            standard_normal(seed, start, 1, 6)  # type: ignore[arg-type]


@pytest.mark.parametrize(("noise_dim", "block"), [(1, 1), (4, 1), (5, 2), (6, 2), (64, 16)])
def test_counters_of_an_image(noise_dim: int, block: int) -> None:
    assert counters_per_image(noise_dim) == block
