"""The pictures of a run show the images of the exported model."""

from pathlib import Path

import numpy as np
from PIL import Image

from cgan_runtime import ImageGenerator
from cgan_training.pictures.sample_sheet import GAP, MARGIN, SCALE
from cgan_training.recipe import Recipe


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
