"""Standard normal noise with the same bits on every machine.

docs/contract.md specifies the algorithm, with test vectors. The seed is the key of Philox4x64-10
(Salmon et al. 2011), and image i owns a fixed block of counters, so that its noise depends on the
seed, i and noise_dim only. NumPy guarantees that the raw output of Philox never changes, but gives
no such guarantee for Generator.standard_normal(). Each 64-bit word of Philox is split into four
16-bit numbers. A table maps a number to a standard normal value, rounded to a multiple of 1/32.
No logarithm or cosine is computed for an image, so that every machine and language gets the same
bits (docs/design/0003).
"""

import math
from functools import cache
from operator import index
from typing import Any, SupportsIndex

import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

from cgan_runtime.errors import InputError, raised_by_user_code

WORDS = 4  # 64-bit words that Philox4x64 computes from one counter
NUMBERS_PER_COUNTER = 16  # 16-bit numbers in these words
SEEDS = 2**64  # seeds are 0 <= seed < SEEDS
INDICES = 2**63  # image indices are 0 <= index < INDICES
STEPS_PER_UNIT = 32  # noise values are multiples of 1 / STEPS_PER_UNIT
MAX_NOISE_STEP = 127  # the largest noise value is MAX_NOISE_STEP / STEPS_PER_UNIT
# interpolate() treats two vectors as parallel if the sine of their angle is at most MIN_SINE, and
# one of them as zero if the product of their squared lengths is at most MIN_SQUARES.
MIN_SINE, MIN_SQUARES = 1e-3, 1e-12

# Philox bit generators that no call uses. Creating one reads entropy from the system, which takes
# as long as generating an image (docs/design/0010). A call removes one from the list and puts it
# back at the end. So threads, and a signal handler that interrupts a call, never share one.
_idle_philoxes: list[Any] = [Philox(key=0)]
_NEW_STATE: Any = _idle_philoxes[0].state  # with an empty output buffer


def check_seed_and_start(seed: SupportsIndex, start: SupportsIndex, count: int) -> tuple[int, int]:
    """Return seed and start as Python integers; raise InputError if one is out of range."""
    seed, start = require_integer("seed", seed), require_integer("start", start)
    if not 0 <= seed < SEEDS:
        raise InputError(f"seed {seed} is out of range; choose one from 0 to 2**64 - 1")
    if start < 0 or count < 0 or start + count > INDICES:
        raise InputError(
            f"start {start} and count {count} are out of range; give values of 0 or more whose sum "
            "is at most 2**63"
        )
    return seed, start


def require_integer(name: str, value: SupportsIndex) -> int:
    """Return a value as a Python integer; raise InputError if it is not a whole number."""
    try:
        return index(value)
    except TypeError as error:
        if raised_by_user_code(error):
            raise
        raise InputError(f"{name} is {value!r}; give a whole number") from error


def thresholds() -> list[int]:
    """Return, for k = -127 .. 126, how many of the 65,536 16-bit numbers map to at most k / 32."""
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
    except ValueError as error:  # NumPy raises it for sizes beyond the address space
        if raised_by_user_code(error):
            raise
        raise MemoryError(str(error)) from error
    fill_noise(noise, seed, start)
    return noise


def fill_noise(noise: NDArray[np.float32], seed: int, start: int) -> None:
    """Fill float32 [count, noise_dim] with the noise of images start to start + count - 1.

    Seed and start must be valid: the caller checks them.
    """
    count, noise_dim = noise.shape
    block = -(-noise_dim // NUMBERS_PER_COUNTER)  # counters per image, rounded up
    words = _random_words(seed, start * block, count * block)
    numbers = words.view("<u2").reshape(count, block * NUMBERS_PER_COUNTER)[:, :noise_dim]
    # Every number is a valid index. mode="clip" lets NumPy write to `out` without a temporary copy.
    _noise_table().take(numbers, out=noise, mode="clip")


def parse_noise(noise: NDArray[Any], count: int, noise_dim: int) -> NDArray[np.float32]:
    """Return noise as float32 [count, noise_dim]. A single row is repeated for all images.

    Raises:
        InputError: the noise has an unexpected type or shape, or is not finite in float32.
    """
    expected = f"finite numbers [{count}, {noise_dim}] or [1, {noise_dim}]"
    try:
        values = np.asarray(noise)
    except ValueError as error:
        if raised_by_user_code(error):
            raise
        raise InputError(f"noise has a ragged shape; give {expected}") from error
    is_numeric, shape = values.dtype.kind in "fiu", list(values.shape)
    if not is_numeric or shape not in ([count, noise_dim], [1, noise_dim]):
        raise InputError(f"noise has dtype {values.dtype} and shape {shape}; give {expected}")
    with np.errstate(over="ignore"):
        rows = values.astype(np.float32)
    if not np.isfinite(rows).all():
        raise InputError(f"noise is not finite; give {expected}")
    return np.broadcast_to(rows, (count, noise_dim))


def interpolate(
    first: NDArray[np.float32], last: NDArray[np.float32], position: float
) -> NDArray[np.float32]:
    """Interpolate between two noise vectors of each image, and round to multiples of 1/32.

    The interpolation is spherical (White 2016, section 2.1): a straight line would pass through
    noise vectors that are shorter than those that the network was trained on.

    Args:
        first: float32 [count, noise_dim].
        last: float32 [count, noise_dim].
        position: 0 gives first, 1 gives last.

    Returns:
        float32 [count, noise_dim], within +-127/32.
    """
    start, end = first.astype(np.float64), last.astype(np.float64)
    squares = (start**2).sum(1, keepdims=True) * (end**2).sum(1, keepdims=True)
    dots = (start * end).sum(1, keepdims=True)
    angle = np.arccos(np.clip(dots / np.sqrt(np.maximum(squares, MIN_SQUARES)), -1, 1))
    sine = np.sin(angle)
    is_straight = (sine <= MIN_SINE) | (squares <= MIN_SQUARES)  # parallel or zero vectors
    sine = np.where(is_straight, 1, sine)

    def weight(share: float) -> NDArray[np.float64]:
        return np.where(is_straight, share, np.sin(share * angle) / sine)

    return round_noise(weight(1 - position) * start + weight(position) * end)


def round_noise(noise: NDArray[Any]) -> NDArray[np.float32]:
    """Round noise to multiples of 1/32 within +-127/32, for which bit-exact models are exact."""
    steps = np.rint(noise * STEPS_PER_UNIT).clip(-MAX_NOISE_STEP, MAX_NOISE_STEP) + 0.0  # no -0.0
    return np.asarray(steps / STEPS_PER_UNIT, np.float32)


def _random_words(seed: int, counter: int, count: int) -> NDArray[np.uint64]:
    """Return the random words of counters counter + 1 to counter + count, little-endian uint64."""
    try:
        philox = _idle_philoxes.pop()
    except IndexError as error:
        if raised_by_user_code(error):
            raise
        philox = Philox(key=0)
    # Philox increments its counter before it computes words.
    state = {"counter": (counter % 2**64, counter // 2**64, 0, 0), "key": (seed, 0)}
    philox.state = _NEW_STATE | {"state": state}
    words: NDArray[np.uint64] = philox.random_raw(count * WORDS).astype("<u8")
    _idle_philoxes.append(philox)
    return words
