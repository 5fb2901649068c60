"""cgan-run, cgan-bulk and cgan-check with color models."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_runs import error_line, is_close, names_in, read_png
from commands import Command
from pyarrow import parquet

from cgan_runtime.generator import ImageGenerator

LINE = ("--digits", 2026, "--seed", 7)


@pytest.fixture(scope="module")
def color(color_model: Path) -> ImageGenerator:
    return ImageGenerator(color_model, "cpu", threads=1)


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 128, 128), (3, 8, 128), (3, 28, 20)])
def test_images_have_the_shape_of_the_model(
    make_model: Callable[..., Path], tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    model = make_model(tmp_path / "color.onnx", image_shape=shape)
    color = ImageGenerator(model, "cpu", threads=1)
    assert color.info.image_shape == shape
    images = color.generate([2, 0, 2, 6], seed=3)
    assert is_close(images.ravel(), np.frombuffer(color.info.golden.images, np.uint8))
    for index, label in enumerate([2, 0, 2, 6]):
        assert is_close(color.generate(label, seed=3, start=index), images[index : index + 1])
    assert color.generate([], seed=0).shape == (0, *shape)
    assert color.generate([1] * 1025, seed=0).shape == (1025, *shape)
    (batch,) = color.stream([3], seed=0, count=2)
    assert batch.images.shape == (2, *shape)


def test_pictures_and_arrays_show_the_same_image(
    run: Command, folder: Path, color: ImageGenerator
) -> None:
    model = ("--model", color.model_path)
    run(*model, *LINE, "--output", "a.png", "--columns", 2)
    run(*model, *LINE, "--output", "a.npy")
    run(*model, *LINE, "--output", "set", "--format", "pngs", "--scale", 2)
    images = color.generate([2, 0, 2, 6], seed=7)
    pixels = images.transpose(0, 2, 3, 1)
    assert is_close(np.load(folder / "a.npy", allow_pickle=False), images)
    rows = [np.concatenate(list(pixels[at : at + 2]), axis=1) for at in (0, 2)]
    assert is_close(read_png(folder / "a.png", "RGB"), np.concatenate(rows))
    names = ["0-000001.png", "2-000000.png", "2-000002.png", "6-000003.png"]
    assert names_in(folder / "set") == names
    for name in names:
        large = read_png(folder / "set" / name, "RGB")
        expected = pixels[int(name[2:8])].repeat(2, axis=0).repeat(2, axis=1)
        assert is_close(large, expected)


def test_a_format_without_color_is_rejected_before_anything_is_generated(
    run: Command, call: Command, folder: Path, color: ImageGenerator
) -> None:
    model = ("--model", color.model_path)
    done = run(*model, "--format", "idx-gz", "--output", "set")
    assert done.returncode == 1
    assert error_line(done).endswith("has no color images; use --format pngs, npy or png")
    options = ("--count", 9, "--format", "idx", "--output", "set")
    done = call("cgan-bulk", *model, *options)
    assert done.returncode == 1
    assert error_line(done).endswith("has no color images; use --format parquet")
    assert not list(folder.iterdir())


def test_shards_hold_color_images(call: Command, tmp_path: Path, color: ImageGenerator) -> None:
    job = ("--count", 4, "--shard-images", 4, "--seed", 7, "--digits", "38", "--workers", 1)
    done = call("cgan-bulk", "--model", color.model_path, *job, "--output", "set")
    assert (done.returncode, done.stderr) == (0, b"")
    paths = sorted((tmp_path / "set" / "shards").iterdir())
    metadata = parquet.read_schema(paths[0]).metadata
    shape = [int(metadata[f"cgan.{each}".encode()]) for each in ("channels", "height", "width")]
    assert tuple(shape) == color.info.image_shape
    tables = [parquet.read_table(path) for path in paths]
    content = b"".join(each for table in tables for each in table["image"].to_pylist())
    images = np.frombuffer(content, np.uint8).reshape(-1, *shape)
    assert is_close(images, color.generate([3, 8] * 4, seed=7))


def test_the_report_states_the_shape(call: Command, color: ImageGenerator) -> None:
    line = ("cgan-check", "--model", color.model_path, "--provider", "cpu", "--threads", 1)
    done = call(*line, "--json")
    assert json.loads(done.stdout)["model"]["shape"] == list(color.info.image_shape)
    _, height, width = color.info.image_shape
    assert f": 10 classes, {height} x {width} pixels, color, fp32, " in call(*line).stdout.decode()
