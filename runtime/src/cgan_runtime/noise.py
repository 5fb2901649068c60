"""Noise that is the same everywhere: docs/contract.md states the rule, with test vectors.

Philox4x64-10 (Salmon et al. 2011) is keyed with the seed. Image i owns a fixed block of counters,
so its noise depends on seed, i and noise_dim alone. numpy promises the raw words of this
generator for good, which it does not for its own normal deviates. Each word is cut into four
numbers of 16 bits, and a table of whole numbers turns them into multiples of 1/32 that are
distributed as standard normals rounded to such multiples are. No logarithm or cosine takes part,
so every machine and language gets the same bits (docs/design/0003).
"""

import math
import sys
from collections.abc import Iterator
from functools import cache
from itertools import count as counting
from operator import index
from threading import local
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.errors import InputError

WORDS = 4  # 64-bit words that Philox4x64 makes of one counter
PER_COUNTER = 16  # numbers of 16 bits in these words
FEW, FEW_CALLS = 16, 64  # counters that Python works out before numpy's generators are imported
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)  # of Philox4x64
INCREMENTS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)  # of its key
ROUNDS = 10
SEEDS = 2**64  # seeds are 0 <= seed < SEEDS
INDICES = 2**63  # image indices are 0 <= index < INDICES
STEPS = 32  # the noise is a multiple of 1 / STEPS ...
LARGEST = 127  # ... from -LARGEST / STEPS to LARGEST / STEPS

NUMBERS = np.dtype("<u2")  # how a word is cut: its lowest 16 bits come first
LITTLE_ENDIAN = sys.byteorder == "little"

_calls: Iterator[int] = counting()
_mine = local()  # each thread's own generator of raw words


def counters_per_image(noise_dim: int) -> int:
    """Return how many counters one image owns."""
    return -(-noise_dim // PER_COUNTER)


def check_seed_and_start(seed: SupportsIndex, start: SupportsIndex, count: int) -> tuple[int, int]:
    """Return seed and start as Python's own integers, which never overflow.

    Raises:
        InputError: one is not a whole number, or out of its range.
    """
    seed = seed if type(seed) is int else require_integer("seed", seed)
    start = start if type(start) is int else require_integer("start", start)
    if not 0 <= seed < SEEDS:
        raise InputError(f"seed {seed} is out of range; choose one from 0 to 2**64 - 1")
    if start < 0 or count < 0 or start + count > INDICES:
        raise InputError(
            f"images {start} to {start + count} are out of range; give a start and a count of 0 or "
            "more that end below 2**63"
        )
    return seed, start


def require_integer(name: str, value: SupportsIndex) -> int:
    """Return a value as Python's own integer.

    Raises:
        InputError: it is none.
    """
    try:
        return index(value)
    except TypeError as error:
        raise InputError(f"{name} is {value!r}; give a whole number") from error


def thresholds() -> list[int]:
    """Return, for k = -127 .. 126, how many of the 65,536 numbers of 16 bits give k or less."""
    return [
        round(32768 * math.erfc(-(k + 0.5) / (STEPS * math.sqrt(2))))
        for k in range(-LARGEST, LARGEST)
    ]


@cache
def _table() -> NDArray[np.float32]:
    """Return what each number of 16 bits becomes: float32 [65536], ascending."""
    bounds = [0, *thresholds(), 2**16]
    values = np.arange(-LARGEST, LARGEST + 1, dtype=np.float32) / np.float32(STEPS)
    return np.repeat(values, np.diff(bounds))


def standard_normal(
    seed: SupportsIndex, start: SupportsIndex, count: SupportsIndex, noise_dim: SupportsIndex
) -> NDArray[np.float32]:
    """Return the noise of images start, start + 1, ..., start + count - 1 of a seed.

    Args:
        seed: 0 <= seed < 2**64.
        start: index of the first image, 0 <= start, start + count <= 2**63.
        count: number of images.
        noise_dim: numbers an image, 1 to 2**31 - 1.

    Returns:
        float32 [count, noise_dim]: standard normals, rounded to multiples of 1/32 within +-127/32.

    Raises:
        InputError: an argument is out of its range.
        MemoryError: there is not enough memory for so many numbers.
    """
    count, noise_dim = require_integer("count", count), require_integer("noise_dim", noise_dim)
    seed, start = check_seed_and_start(seed, start, count)
    if not 1 <= noise_dim < 2**31:
        raise InputError(f"noise_dim is {noise_dim}; give 1 to 2**31 - 1")
    try:
        noise = np.empty((count, noise_dim), np.float32)
    except ValueError as error:  # numpy's word for more than can be addressed
        raise MemoryError(str(error)) from error
    fill(noise, seed, start)
    return noise


def fill(noise: NDArray[np.float32], seed: int, start: int) -> None:
    """Write the noise of images start, start + 1, ... of a seed over an array.

    Args:
        noise: float32 [count, noise_dim], contiguous.
        seed: and start, as check_seed_and_start() returns them.
        start: index of the first image.
    """
    count, noise_dim = noise.shape
    block = counters_per_image(noise_dim)
    first = start * block + 1  # counter
    # A process that draws a digit and ends need not import numpy's generators for it.
    few = count * block <= FEW and next(_calls) < FEW_CALLS
    words = (_few_words if few else _many_words)(seed, first, count * block)
    numbers = words.view(NUMBERS).reshape(count, block * PER_COUNTER)[:, :noise_dim]
    # No number is beyond the table; "clip" writes to its place without a copy between.
    _table().take(numbers, out=noise, mode="clip")


def fill_noise_one(noise: NDArray[np.float32], seed: int, index: int) -> None:
    """Write the noise of one image over an array: as fill(), in fewer steps.

    Args:
        noise: float32 [noise_dim].
        seed: and index, as check_seed_and_start() returns them.
        index: of the image.
    """
    if not hasattr(_mine, "philox"):  # of the first images a thread draws
        fill(noise[np.newaxis], seed, index)
        return
    size = len(noise)
    block = counters_per_image(size)
    numbers = _many_words(seed, index * block + 1, block).view(NUMBERS)
    _table().take(numbers if size % PER_COUNTER == 0 else numbers[:size], out=noise, mode="clip")


def _many_words(seed: int, first: int, counters: int) -> NDArray[np.uint64]:
    """Return the words of counters first, first + 1, ...: little-endian uint64."""
    try:
        philox = _mine.philox
    except AttributeError:
        from numpy.random import Philox

        # A new one asks the system for entropy before it takes its key: as long as an image takes
        # (docs/design/0010).
        philox = _mine.philox = Philox(key=0)
    before = first - 1  # it counts on before each draw, once its buffer is used up
    philox.state = {
        "bit_generator": "Philox",
        "state": {"counter": (before % SEEDS, before // SEEDS, 0, 0), "key": (seed, 0)},
        "buffer": (0, 0, 0, 0),
        "buffer_pos": WORDS,
        "has_uint32": 0,
        "uinteger": 0,
    }
    words: NDArray[np.uint64] = philox.random_raw(counters * WORDS)
    return words if LITTLE_ENDIAN else words.astype("<u8")


def _few_words(seed: int, first: int, counters: int) -> NDArray[np.uint64]:
    """Return the same, worked out in Python's integers."""
    words = [word for counter in range(first, first + counters) for word in _philox(seed, counter)]
    return np.array(words, "<u8")


def _philox(seed: int, counter: int) -> tuple[int, int, int, int]:
    """Return the four words that Philox4x64-10 makes of a 256-bit counter."""
    low = SEEDS - 1
    a, b, c, d = (counter >> shift & low for shift in (0, 64, 128, 192))
    one, other = seed, 0
    for _ in range(ROUNDS):
        left, right = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b, c, d = right >> 64 ^ b ^ one, right & low, left >> 64 ^ d ^ other, left & low
        one, other = one + INCREMENTS[0] & low, other + INCREMENTS[1] & low
    return a, b, c, d
