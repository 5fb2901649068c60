"""Noise that is the same everywhere: docs/contract.md states the rule, with test vectors.

Philox4x64-10 (Salmon et al. 2011) is keyed with the seed. Image i owns a fixed block of counters,
so its noise depends on seed, i and noise_dim alone. numpy promises the raw words of this
generator for good, which it does not for its own normal deviates; so the words become uniforms
and, by Box & Muller (1958), normals here.
"""

from operator import index
from typing import SupportsIndex

import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

from cgan_runtime.errors import InputError

WORDS = 4  # 64-bit words that Philox4x64 makes of one counter
SEEDS = 2**64  # seeds are 0 <= seed < SEEDS
INDICES = 2**63  # image indices are 0 <= index < INDICES
UNIT = 2.0**-53  # spacing of the uniforms


def counters_per_image(noise_dim: int) -> int:
    """Return how many counters one image owns: enough words for an even number of normals."""
    return -(-noise_dim // WORDS)


def checked_origin(seed: SupportsIndex, start: SupportsIndex, count: int) -> tuple[int, int]:
    """Return seed and start as Python's own integers, which never overflow.

    Raises:
        InputError: one is not a whole number, or out of its range.
    """
    try:
        seed, start = index(seed), index(start)
    except TypeError as error:
        raise InputError(f"seed {seed!r} and start {start!r} must be whole numbers") from error
    if not 0 <= seed < SEEDS:
        raise InputError(f"seed {seed} is out of range; choose one from 0 to 2**64 - 1")
    if start < 0 or count < 0 or start + count > INDICES:
        raise InputError(f"images {start} to {start + count} are out of range; start at 0 or above")
    return seed, start


def standard_normal(
    seed: SupportsIndex, start: SupportsIndex, count: int, noise_dim: int
) -> NDArray[np.float32]:
    """Return the noise of images start, start + 1, ..., start + count - 1 of a seed.

    Args:
        seed: 0 <= seed < 2**64.
        start: index of the first image, 0 <= start, start + count <= 2**63.
        count: number of images.
        noise_dim: numbers an image.

    Returns:
        float32 [count, noise_dim].

    Raises:
        InputError: an argument is out of its range.
    """
    seed, start = checked_origin(seed, start, count)
    block = counters_per_image(noise_dim)
    # numpy counts on before each draw: counter c gives the words of c + 1 first.
    words = Philox(key=seed, counter=start * block).random_raw(count * block * WORDS)
    pairs = (words >> np.uint64(11)).reshape(-1, 2)  # 53 random bits each
    first = (pairs[:, 0] + np.uint64(1)) * UNIT  # in (0, 1], so that its logarithm is finite
    second = pairs[:, 1] * UNIT  # in [0, 1)
    radius = np.sqrt(-2.0 * np.log(first))
    angle = (2.0 * np.pi) * second
    normals = np.empty((len(pairs), 2), np.float32)
    normals[:, 0] = radius * np.cos(angle)
    normals[:, 1] = radius * np.sin(angle)
    return np.ascontiguousarray(normals.reshape(count, block * WORDS)[:, :noise_dim])
