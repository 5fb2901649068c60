"""Training, export and generation with named classes from a folder of IDX files."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cgan_training.model_file import load_model
from cgan_training.recipe import (
    PerceptronDiscriminatorSettings,
    PerceptronGeneratorSettings,
    Recipe,
)

NAMES = ["T-shirt/top", "Trouser", "Pullover", *"ABCDEF", "Ankle boot"]
IMAGES, COUNT = 300, 12


@pytest.fixture
def patterns() -> NDArray[np.uint8]:
    """One image per class: horizontal bars at five heights, vertical bars at five positions."""
    images = np.zeros((10, 28, 28), np.uint8)
    for index in range(5):
        bar = slice(2 + 5 * index, 6 + 5 * index)
        images[index, bar, 2:26] = images[5 + index, 2:26, bar] = 230
    return images


@pytest.fixture
def fashion(patterns: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A folder of IDX files with the patterns in random shades of gray."""
    folder = tmp_path / "fashion"
    folder.mkdir()
    labels = (np.arange(IMAGES) % 10).astype(np.uint8)
    shades = np.random.default_rng(0).uniform(0.7, 1, (IMAGES, 1, 1))
    images = (patterns[labels] * shades).astype(np.uint8)
    for name, values in (("images-idx3", images), ("labels-idx1", labels)):
        header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
        (folder / f"train-{name}-ubyte").write_bytes(header + values.tobytes())
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def patterns_toml(small_recipe: Recipe, recipe_file: Callable[[Recipe], Path]) -> Path:
    """A recipe that trains on the patterns in a few seconds on one core."""
    recipe = dataclasses.replace(
        small_recipe,
        name="patterns",
        noise_dim=2,
        generator=PerceptronGeneratorSettings(hidden=(32,)),
        discriminator=PerceptronDiscriminatorSettings(hidden=(64,), negative_slope=0.2),
        batch_size=20,
        learning_rate=1e-2,
        adam_betas=(0.5, 0.9),
        epochs=4,
        min_images_per_epoch=12_000,
    )
    return recipe_file(recipe)


def test_images_of_named_classes_from_a_folder_of_idx_files(
    call: Callable[..., Any],
    tmp_path: Path,
    patterns: NDArray[np.uint8],
    fashion: Path,
    patterns_toml: Path,
) -> None:
    def succeed(*words: object) -> str:
        done = call(*words)
        assert done.returncode == 0, done.stderr
        return str(done.stdout.decode())

    def generate(*words: object) -> str:
        return succeed("cgan-run", "--model", "fashion.onnx", "--seed", 7, *words)

    train = ["--recipe", patterns_toml, "--dataset", fashion, "--run-dir", "run", "--threads", 1]
    succeed("cgan-train", *train)
    succeed("cgan-train", "--resume", "run")  # config.json contains the path of the folder
    succeed("cgan-export", "run", "fashion.onnx")
    model = load_model(tmp_path / "run")
    assert model.dataset == "fashion"
    assert list(model.class_names) == NAMES

    # Most images of a named class resemble the pattern of the class, and they differ.
    labels = [argument for name in NAMES for argument in ("--label", name.upper())]
    generate(*labels, "--count", COUNT, "--output", "each.npy")
    images = np.load(tmp_path / "each.npy")[:, 0].astype(float)  # [12 * 10, 28, 28]
    distances = ((images[:, None] - patterns) ** 2).sum(axis=(2, 3))
    assert (distances.argmin(axis=1) == np.tile(np.arange(10), COUNT)).mean() > 0.7
    assert len(np.unique(images, axis=0)) > len(images) / 2

    assert generate("--label", "Ankle boot") == "ankle-boot-seed-7.png  seed 7\n"
    done = call("cgan-run", "--model", "fashion.onnx", "--digit", 9)
    assert done.returncode == 1
    assert b"'9'; choose " in done.stderr
    assert b"'T-shirt/top', 'Trouser'" in done.stderr
