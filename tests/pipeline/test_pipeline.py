import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from cgan_export.source.generator_source import source_of_model
from cgan_export.verification.verify import generate_with_torch
from cgan_runtime import ImageGenerator
from cgan_training.model_file import load_model
from cgan_training.pictures.sample_sheet import GAP, MARGIN, SCALE
from cgan_training.recipe import Recipe


def test_an_exported_model_generates_the_images_of_the_trained_network(
    call: Callable[..., Any], tmp_path: Path, runtime_environment: Callable[[str], Path]
) -> None:
    """The images are generated in an environment without PyTorch."""
    for words in (
        ["cgan-train", "--dataset", "optdigits", "--minutes", 0.05, "--run-dir", "run"],
        ["cgan-export", "run/model.pt", "digits.onnx"],
    ):
        done = call(*words)
        assert done.returncode == 0, done.stderr
    command = runtime_environment(onnxruntime.__version__) / "cgan-run"
    digits = ("--model", "digits.onnx", "--digits", "0123456789", "--seed", "3", "--count", "3")
    for output in ("sheet.png", "sheet.npy"):
        subprocess.run([command, *digits, "--output", output], cwd=tmp_path, check=True)
    images = np.load(tmp_path / "sheet.npy")
    assert images.shape == (30, 1, 28, 28)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet).reshape(3, 28, 10, 28).swapaxes(1, 2).reshape(30, 1, 28, 28)
    np.testing.assert_array_equal(pixels, images)
    source = source_of_model(load_model(tmp_path / "run"))
    trained = generate_with_torch(source, [*range(10)] * 3, seed=3, start=0)
    np.testing.assert_allclose(images.astype(int), trained, atol=1)
    assert len(np.unique(images, axis=0)) == len(images)


def test_the_last_sample_sheet_shows_the_images_of_the_exported_model(
    run_dir: Path, onnx_file: Path, small_recipe: Recipe
) -> None:
    """The sheet shows the images of `cgan-run --count 10 --seed SEED` with the recipe's seed."""
    with ImageGenerator(onnx_file, "cpu") as generator:
        images = generator.generate([*range(10)] * 10, seed=small_recipe.seed)
    with Image.open(run_dir / "samples" / "epoch-0002.png") as file:
        sheet = np.asarray(file.convert("L"))
    pitch = 28 * SCALE + GAP
    for index, image in enumerate(images[:, 0]):
        row, column = divmod(index, 10)
        top, left = MARGIN + row * pitch, GAP + column * pitch
        tile = sheet[top : top + 28 * SCALE : SCALE, left : left + 28 * SCALE : SCALE]
        np.testing.assert_allclose(tile.astype(int), image, atol=1)
