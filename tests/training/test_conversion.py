"""--image-size and --grayscale, and the fingerprint of a dataset."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Command
from PIL import Image

from cgan_training.data import Conversion, Dataset, load_dataset
from cgan_training.data.conversion import conversion_from_dict, parse_image_size
from cgan_training.data.fingerprint import fingerprint
from cgan_training.data.pixels import convert, to_gray
from cgan_training.model_file import load_model
from cgan_training.run import read_config


def dataset(images: torch.Tensor) -> Dataset:
    labels = torch.arange(len(images)) % 2
    return Dataset("some", "somewhere", images, labels, ("even", "odd"))


def random_images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.manual_seed(0))


@pytest.mark.parametrize(
    ("text", "size"), [("32", (32, 32)), ("8x128", (8, 128)), ("28X32", (28, 32))]
)
def test_an_image_size_is_one_or_two_numbers(text: str, size: tuple[int, int]) -> None:
    assert parse_image_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "x", "32x", "7", "129", "32x32x3", "-32", "3.5", "²", "9" * 99]
)
def test_another_image_size_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"pixels|numbers"):
        parse_image_size(text)


def test_another_image_size_is_a_usage_error(call: Command) -> None:
    done = call("cgan-train", "--image-size", "7")
    assert done.returncode == 2
    assert b"error: --image-size " in done.stderr


@pytest.mark.parametrize("conversion", [Conversion(), Conversion((8, 9)), Conversion((8, 9), 1)])
def test_a_conversion_survives_json(conversion: Conversion) -> None:
    assert conversion_from_dict(json.loads(json.dumps(conversion.to_dict()))) == conversion


@pytest.mark.parametrize(
    "values",
    [
        {"image_size": 32},
        {"image_size": [32]},
        {"image_size": [32, 4]},
        {"image_size": [32, True]},
        {"image_size": [32.0, 32]},
        {"grayscale": 1},
    ],
)
def test_invalid_values_of_a_file_are_rejected(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        conversion_from_dict(values)


def test_gray_is_the_luma_of_pillow() -> None:
    images = random_images(5, 3, 9, 11)
    for image, gray in zip(images, to_gray(images), strict=True):
        expected = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert np.array_equal(gray[0].numpy(), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_cropped_at_the_center_and_resampled(channels: int) -> None:
    images = torch.zeros(2, channels, 16, 32, dtype=torch.uint8)
    images[:, :, :, 8:24] = 200  # the part that remains
    data = convert(dataset(images), Conversion((8, 8), channels))
    assert data.images.min() > 180  # the filter reaches over the edge
    assert data.image_shape == (channels, 8, 8)
    assert data.notes == (
        "images of 16 x 32 pixels are cropped at the center and resampled to 8 x 8",
    )


def test_a_conversion_belongs_to_the_run(call: Command, tmp_path: Path, small_toml: Path) -> None:
    run = ["--recipe", small_toml, "--dataset", "optdigits", "--threads", 1, "--run-dir", "run"]
    convert = ["--image-size", "10x12", "--grayscale"]
    done = call("cgan-train", *run, *convert, "--minutes", 1e-6)
    assert done.returncode == 0, done.stderr
    assert b"note: images of 28 x 28 pixels are cropped at the center and resampled" in done.stderr
    values = read_config(tmp_path / "run")["dataset"]
    assert (values["image_size"], values["grayscale"], values["shape"]) == (
        [10, 12],
        True,
        [1, 10, 12],
    )
    done = call("cgan-train", "--resume", "run", "--image-size", "12")
    assert done.returncode == 1
    assert b"resume it without --image-size and --grayscale" in done.stderr
    done = call("cgan-train", "--resume", "run")
    assert done.returncode == 0, done.stderr
    model = load_model(tmp_path / "run")
    assert (model.training["image_size"], model.training["grayscale"]) == ([10, 12], True)
    assert model.generator.image_shape == (1, 10, 12)


def test_a_fingerprint_describes_the_images() -> None:
    images = torch.zeros(6, 1, 16, 16, dtype=torch.uint8)
    images[1:, :, :, 8:] = 255
    data = Dataset("some", "here", images, torch.tensor([0, 1, 1, 1, 1, 2]), ("a", "b", "c"))
    figures = fingerprint(data)
    assert figures.class_counts == (1, 4, 1)
    assert (figures.median_count, figures.imbalance) == (1, 4.0)
    assert figures.mean_pixel_value == pytest.approx(255 / 2 * 5 / 6)
    assert figures.duplicate_share == pytest.approx(4 / 6)
    assert figures.lost_detail == 0  # two different images have one principal component


def test_high_frequencies_grow_from_digits_to_noise(digits: Dataset) -> None:
    smooth, noise = fingerprint(digits), fingerprint(dataset(random_images(500, 3, 16, 16)))
    assert smooth.high_frequency < 0.01
    assert noise.high_frequency == pytest.approx(49 / 255, abs=0.02)
    assert noise.image_shape == (3, 16, 16)


def test_every_source_can_be_converted() -> None:
    data, _ = load_dataset("optdigits", Path("none"), conversion=Conversion((14, 16), 3))
    assert data.image_shape == (3, 14, 16)
