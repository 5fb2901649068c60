"""A data set of one's own, with names for its classes, from IDX files to pictures by name."""

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cgan_training.model_file import load_model
from cgan_training.networks import PerceptronDiscriminator, PerceptronGenerator
from cgan_training.recipe.schema import Recipe

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
NAMES = [  # Fashion-MNIST's
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
]
IMAGES, COUNT = 300, 12


@pytest.fixture
def patterns() -> NDArray[np.uint8]:
    """One a class: bars that lie at five heights, and bars that stand at five places."""
    drawn = np.zeros((10, 28, 28), np.uint8)
    for place in range(5):
        bar = slice(2 + 5 * place, 6 + 5 * place)
        drawn[place, bar, 2:26] = drawn[5 + place, 2:26, bar] = 230
    return drawn


@pytest.fixture
def fashion(patterns: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A folder in Fashion-MNIST's layout, each image a class's pattern in a grey of its own."""
    folder = tmp_path / "fashion"
    folder.mkdir()
    labels = (np.arange(IMAGES) % 10).astype(np.uint8)
    greys = np.random.default_rng(0).uniform(0.7, 1, (IMAGES, 1, 1))
    images = (patterns[labels] * greys).astype(np.uint8)
    for name, values in (("images-idx3", images), ("labels-idx1", labels)):
        header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
        (folder / f"train-{name}-ubyte").write_bytes(header + values.tobytes())
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def bars_toml(small_recipe: Recipe, recipe_file: Callable[[Recipe], Path]) -> Path:
    """A recipe that learns the patterns in some seconds on one core."""
    recipe = dataclasses.replace(
        small_recipe,
        name="bars",
        noise_dim=2,
        generator=PerceptronGenerator(hidden=(32,)),
        discriminator=PerceptronDiscriminator(hidden=(64,), leaky_slope=0.2),
        batch_size=20,
        learning_rate=1e-2,
        betas=(0.5, 0.9),
        epochs=6,
        epoch_images=12_000,
    )
    return recipe_file(recipe)


def test_classes_are_drawn_by_name(
    call: Command,
    tmp_path: Path,
    patterns: NDArray[np.uint8],
    fashion: Path,
    bars_toml: Path,
) -> None:
    def draw(*arguments: object) -> str:
        done = call("cgan-run", "--model", "fashion.onnx", "--seed", 7, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    train = ["--recipe", bars_toml, "--dataset", fashion, "--run-dir", "run", "--threads", 1]
    steps: list[list[object]] = [
        ["cgan-train", *train],
        ["cgan-train", "--resume", "run"],  # it knows where its folder lies
        ["cgan-export", "run", "fashion.onnx"],
    ]
    for step in steps:
        done = call(*map(str, step))
        assert done.returncode == 0, done.stderr

    model = load_model(tmp_path / "run")
    assert model.dataset == "fashion"
    assert list(model.class_names) == NAMES

    # A picture shows the class that was named: its pattern is the nearest to most images.
    labels = [argument for name in NAMES for argument in ("--label", name.upper())]
    draw(*labels, "--count", COUNT, "--output", "each.npy")
    images = np.load(tmp_path / "each.npy")[:, 0].astype(float)  # [12 * 10, 28, 28]
    distances = ((images[:, None] - patterns) ** 2).sum(axis=(2, 3))
    right = distances.argmin(axis=1) == np.tile(np.arange(10), COUNT)
    assert right.mean() > 0.7
    assert len(np.unique(images, axis=0)) > len(images) / 2

    # Without a name there is one of each; with one, the file is named after it.
    draw("--output", "all.png")
    with Image.open(tmp_path / "all.png") as sheet:
        assert sheet.size == (280, 28)
        boot = np.asarray(sheet)[:, 252:]
    assert draw("--label", "Ankle boot") == "ankle-boot-seed-7.png  seed 7\n"
    draw("--label", "Ankle boot", "--start", 9, "--output", "ninth.png")
    with Image.open(tmp_path / "ninth.png") as picture:
        np.testing.assert_allclose(np.asarray(picture, int), boot.astype(int), atol=1)

    done = call("cgan-run", "--model", "fashion.onnx", "--digit", 9)
    assert done.returncode == 1
    assert b"error: the model has no class '9'; choose from 'T-shirt/top', 'Trouser'" in done.stderr
