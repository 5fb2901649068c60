"""Standard normal noise with the same bits on every machine.

docs/contract.md states the rule, with test vectors. Philox4x64-10 (Salmon et al. 2011) is keyed
with the seed, and image i owns a fixed block of counters, so that its noise depends on the seed, i
and noise_dim only. numpy guarantees the raw words of this generator, but not its normal deviates,
for all future versions. Each word is cut into four 16-bit numbers, which a table of integers maps
to standard normals rounded to multiples of 1/32. No logarithm or cosine is involved, so that
every machine and language computes the same bits (docs/design/0003).
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
NUMBERS_PER_COUNTER = 16  # 16-bit numbers in these words
# Small amounts of noise are computed in Python, without the import of numpy.random, which takes
# longer. That pays only for the first calls of a process.
MAX_PYTHON_COUNTERS, MAX_PYTHON_CALLS = 16, 64
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)  # of Philox4x64
INCREMENTS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)  # of its key
ROUNDS = 10
SEEDS = 2**64  # seeds are 0 <= seed < SEEDS
INDICES = 2**63  # image indices are 0 <= index < INDICES
STEPS_PER_UNIT = 32  # noise values are multiples of 1 / STEPS_PER_UNIT ...
MAX_NOISE_STEP = 127  # ... between -+MAX_NOISE_STEP / STEPS_PER_UNIT

UINT16 = np.dtype("<u2")  # cuts a word so that its lowest 16 bits come first
LITTLE_ENDIAN = sys.byteorder == "little"

_calls: Iterator[int] = counting()
_thread_state = local()  # each thread has its own Philox generator


def counters_per_image(noise_dim: int) -> int:
    """Return the number of counters that one image owns."""
    return -(-noise_dim // NUMBERS_PER_COUNTER)


def check_seed_and_start(seed: SupportsIndex, start: SupportsIndex, count: int) -> tuple[int, int]:
    """Return seed and start as Python integers, which never overflow.

    Raises:
        InputError: a value is not a whole number or is out of range.
    """
    seed = seed if type(seed) is int else require_integer("seed", seed)
    start = start if type(start) is int else require_integer("start", start)
    if not 0 <= seed < SEEDS:
        raise InputError(f"seed {seed} is out of range; choose one from 0 to 2**64 - 1")
    if start < 0 or count < 0 or start + count > INDICES:
        raise InputError(
            f"images {start} to {start + count} are out of range; give a start and a count of 0 or "
            "more whose sum is at most 2**63"
        )
    return seed, start


def require_integer(name: str, value: SupportsIndex) -> int:
    """Return a value as a Python integer.

    Raises:
        InputError: the value is not a whole number.
    """
    try:
        return index(value)
    except TypeError as error:
        raise InputError(f"{name} is {value!r}; give a whole number") from error


def thresholds() -> list[int]:
    """Return, for k = -127 .. 126, how many of the 65,536 16-bit numbers map to k or less."""
    return [
        round(32768 * math.erfc(-(k + 0.5) / (STEPS_PER_UNIT * math.sqrt(2))))
        for k in range(-MAX_NOISE_STEP, MAX_NOISE_STEP)
    ]


@cache
def _noise_table() -> NDArray[np.float32]:
    """Return the noise value of each 16-bit number: float32 [65536], ascending."""
    bounds = [0, *thresholds(), 2**16]
    steps = np.arange(-MAX_NOISE_STEP, MAX_NOISE_STEP + 1, dtype=np.float32)
    return np.repeat(steps / np.float32(STEPS_PER_UNIT), np.diff(bounds))


def standard_normal(
    seed: SupportsIndex, start: SupportsIndex, count: SupportsIndex, noise_dim: SupportsIndex
) -> NDArray[np.float32]:
    """Return the noise of images start, start + 1, ..., start + count - 1 of a seed.

    Args:
        seed: 0 <= seed < 2**64.
        start: index of the first image, 0 <= start, start + count <= 2**63.
        count: number of images.
        noise_dim: number of values per image, 1 to 2**31 - 1.

    Returns:
        float32 [count, noise_dim]: standard normals, rounded to multiples of 1/32 within +-127/32.

    Raises:
        InputError: an argument is out of range.
        MemoryError: there is not enough memory for the array.
    """
    count, noise_dim = require_integer("count", count), require_integer("noise_dim", noise_dim)
    seed, start = check_seed_and_start(seed, start, count)
    if not 1 <= noise_dim < 2**31:
        raise InputError(f"noise_dim is {noise_dim}; give 1 to 2**31 - 1")
    try:
        noise = np.empty((count, noise_dim), np.float32)
    except ValueError as error:  # numpy raises it for sizes beyond the address space
        raise MemoryError(str(error)) from error
    fill_noise(noise, seed, start)
    return noise


def fill_noise(noise: NDArray[np.float32], seed: int, start: int) -> None:
    """Fill an array, float32 [count, noise_dim], with the noise of images start, start + 1, ...

    Seed and start must be valid: the caller checks them.
    """
    count, noise_dim = noise.shape
    block = counters_per_image(noise_dim)
    first = start * block + 1  # counter
    in_python = count * block <= MAX_PYTHON_COUNTERS and next(_calls) < MAX_PYTHON_CALLS
    words = (_words_in_python if in_python else _words_in_numpy)(seed, first, count * block)
    numbers = words.view(UINT16).reshape(count, block * NUMBERS_PER_COUNTER)[:, :noise_dim]
    # Every number is a valid index. mode="clip" lets numpy write to `out` without a temporary copy.
    _noise_table().take(numbers, out=noise, mode="clip")


def _words_in_numpy(seed: int, first: int, counters: int) -> NDArray[np.uint64]:
    """Return the words of counters first, first + 1, ...: little-endian uint64."""
    try:
        philox = _thread_state.philox
    except AttributeError:
        from numpy.random import Philox

        # A new generator asks the system for entropy before it takes its key, which takes as long
        # as generating an image (docs/design/0010). So each thread keeps one and sets its state.
        philox = _thread_state.philox = Philox(key=0)
    before = first - 1  # Philox increments its counter before it computes words
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


def _words_in_python(seed: int, first: int, counters: int) -> NDArray[np.uint64]:
    """Return the words that _words_in_numpy() returns, without importing numpy.random."""
    words = [word for counter in range(first, first + counters) for word in _philox(seed, counter)]
    return np.array(words, "<u8")


def _philox(seed: int, counter: int) -> tuple[int, int, int, int]:
    """Return the four words that Philox4x64-10 makes of a 256-bit counter."""
    mask = SEEDS - 1
    a, b, c, d = (counter >> shift & mask for shift in (0, 64, 128, 192))
    key_low, key_high = seed, 0
    for _ in range(ROUNDS):
        left, right = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b = right >> 64 ^ b ^ key_low, right & mask
        c, d = left >> 64 ^ d ^ key_high, left & mask
        key_low, key_high = key_low + INCREMENTS[0] & mask, key_high + INCREMENTS[1] & mask
    return a, b, c, d
