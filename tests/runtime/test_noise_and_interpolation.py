"""Noise of the caller, interpolation between seeds, and png()."""

from io import BytesIO
from typing import NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cgan_runtime import ImageGenerator, InputError, png
from cgan_runtime.model_file.contract import MAX_BATCH
from cgan_runtime.noise import interpolate, round_noise, standard_normal


@pytest.mark.parametrize("count", [1, 3, MAX_BATCH + 2])
def test_the_noise_of_a_seed_generates_its_images(shipped: ImageGenerator, count: int) -> None:
    labels, noise = [number % 10 for number in range(count)], shipped.noise(7, 2**40, count)
    assert noise.shape == (count, shipped.info.noise_dim)
    np.testing.assert_array_equal(noise * 32 % 1, 0)
    expected = shipped.generate(labels, seed=7, start=2**40)
    np.testing.assert_array_equal(shipped.generate(labels, noise=noise), expected)
    np.testing.assert_array_equal(shipped.generate(labels, noise=noise.astype(float)), expected)


def test_one_noise_vector_serves_all_labels(shipped: ImageGenerator) -> None:
    images = shipped.generate(range(10), noise=shipped.noise(7, 5))
    for label in range(10):
        np.testing.assert_array_equal(images[label], shipped.generate(label, seed=7, start=5)[0])
    assert shipped.generate([], noise=shipped.noise(7)).shape == (0, 1, 28, 28)


@pytest.mark.parametrize(
    "noise",
    [
        np.zeros(64),
        np.zeros((3, 64)),
        np.zeros((2, 63)),
        np.zeros((0, 64)),
        np.full((2, 64), np.nan),
        np.full((2, 64), 1e39),
        np.array([["a"] * 64] * 2),
        np.zeros((2, 64), complex),
        [[0.0] * 64, [0.0]],
    ],
    ids=["1-d", "rows", "columns", "empty", "NaN", "overflow", "text", "complex", "ragged"],
)
def test_unsuitable_noise_is_rejected(shipped: ImageGenerator, noise: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match=r"; give finite numbers \[2, 64\] or \[1, 64\]"):
        shipped.generate([1, 2], noise=noise)


class UnreadableNoise:
    """Noise whose conversion to an array fails."""

    def __array__(self, *_: object, **__: object) -> NoReturn:
        raise ValueError("the device is off")


def test_an_exception_of_the_noise_itself_passes_through(shipped: ImageGenerator) -> None:
    with pytest.raises(ValueError, match=r"^the device is off$"):
        shipped.generate([1, 2], noise=UnreadableNoise())  # type: ignore[arg-type]


def test_either_a_seed_or_noise_is_required(shipped: ImageGenerator) -> None:
    for options in ({"seed": 1}, {"start": 1}):
        with pytest.raises(InputError, match="noise replaces seed and start"):
            shipped.generate(3, noise=shipped.noise(1), **options)
    with pytest.raises(InputError, match="neither seed nor noise; give one of them"):
        shipped.generate(3)


def test_a_walk_leads_from_one_seed_to_the_other(shipped: ImageGenerator) -> None:
    walk = shipped.interpolate([2, 6], 7, 8, frames=9)
    assert walk.shape == (9, 2, 1, 28, 28)
    for frame, seed in ((0, 7), (-1, 8)):
        np.testing.assert_array_equal(walk[frame], shipped.generate([2, 6], seed=seed))
    steps = np.abs(np.diff(walk.astype(int), axis=0)).mean(axis=(1, 2, 3, 4))
    direct = np.abs(walk[0].astype(int) - walk[-1]).mean()
    assert 0 < steps.min() <= steps.max() < direct
    with pytest.raises(InputError, match="frames is 1; give 2 or more"):
        shipped.interpolate(3, 7, 8, 1)
    with pytest.raises(InputError, match="seed -1 is out of range"):
        shipped.interpolate(3, 7, -1, 2)


def test_interpolated_noise_stays_on_the_grid_and_keeps_its_length() -> None:
    first, last = (standard_normal(seed, 0, 50, 64) for seed in (1, 2))
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(last, axis=1)
    for position in (0.1, 0.5, 0.9):
        noise = interpolate(first, last, position)
        assert noise.dtype == np.float32
        np.testing.assert_array_equal(noise * 32 % 1, 0)
        assert np.abs(noise).max() <= 127 / 32
        length = np.linalg.norm(noise, axis=1)
        assert (length > 0.95 * np.minimum(*lengths)).all()
        assert (length < 1.05 * np.maximum(*lengths)).all()


@pytest.mark.parametrize("factor", [0, 1, -1, 2])
def test_parallel_vectors_are_interpolated_in_a_straight_line(factor: int) -> None:
    first = round_noise(standard_normal(1, 0, 3, 64) / 4)
    noise = interpolate(first, round_noise(factor * first), 0.5)
    np.testing.assert_allclose(noise, (1 + factor) / 2 * first, atol=1 / 64)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_returns_the_bytes_of_a_picture(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, channels, 4, 6), np.uint8)
    for options, size in (({}, (18, 8)), ({"columns": 5, "scale": 3}, (90, 12))):
        with Image.open(BytesIO(png(images, **options))) as picture:
            assert picture.size == size
            corner = np.asarray(picture).reshape(*size[::-1], channels)[0, 0]
    np.testing.assert_array_equal(corner, images[0, :, 0, 0])


@pytest.mark.parametrize(
    ("images", "options"),
    [
        (np.zeros((2, 4, 6), np.uint8), {}),
        (np.zeros((2, 2, 4, 6), np.uint8), {}),
        (np.zeros((0, 1, 4, 6), np.uint8), {}),
        (np.zeros((2, 1, 4, 6)), {}),
        (np.zeros((2, 1, 4, 6), np.uint8), {"columns": 0}),
        (np.zeros((2, 1, 4, 6), np.uint8), {"scale": 0}),
    ],
)
def test_png_rejects_what_is_not_images(images: NDArray[np.uint8], options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="; give "):
        png(images, **options)
