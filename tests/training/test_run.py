import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from cgan_runtime.errors import OutputError
from cgan_training.data import Dataset
from cgan_training.model_file import load_model
from cgan_training.networks import Generator
from cgan_training.recipe.schema import Recipe
from cgan_training.run import RunOptions, train
from cgan_training.run.directory import read_metrics

CPU = torch.device("cpu")


def test_a_run_leaves_its_whole_folder(run_dir: Path) -> None:
    found = {str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if path.is_file()}
    assert found == {
        "checkpoint-previous.pt",
        "checkpoint.pt",
        "config.json",
        "curves.png",
        "grid.png",
        "metrics.jsonl",
        "model.pt",
        "samples.webp",
        "models/epoch-0001.pt",
        "models/epoch-0002.pt",
        "samples/epoch-0001.png",
        "samples/epoch-0002.png",
    }


def test_config_holds_the_resolved_recipe(run_dir: Path, small_recipe: Recipe) -> None:
    config = json.loads((run_dir / "config.json").read_text())
    assert config["recipe"] == small_recipe.to_dict()
    assert config["dataset"]["name"] == config["dataset"]["dataset"] == "optdigits"
    assert config["versions"]["torch"] == torch.__version__


def test_metrics_have_a_line_an_epoch(run_dir: Path) -> None:
    metrics = read_metrics(run_dir)
    assert [line["epoch"] for line in metrics] == [1, 2]
    assert set(metrics[0]) == {
        "epoch",
        "step",
        "loss_generator",
        "loss_discriminator",
        "mean_d_real",
        "mean_d_fake",
        "images_per_second",
        "seconds",
    }


def test_sheets_are_pictures_of_ten_by_ten_digits(run_dir: Path) -> None:
    for path in (run_dir / "grid.png", run_dir / "samples" / "epoch-0001.png"):
        with Image.open(path) as sheet:
            assert sheet.size == (604, 656)  # ten of 56 + 4 pixels, two margins for words
            assert len(set(sheet.tobytes())) > 50


def test_the_animation_shows_every_epoch(run_dir: Path) -> None:
    with Image.open(run_dir / "samples.webp") as film:
        assert (film.format, film.size) == ("WEBP", (604, 656))
        assert getattr(film, "n_frames", 1) == 2


def test_checkpoint_and_model_hold_the_same_generator(run_dir: Path) -> None:
    checkpoint = torch.load(run_dir / "checkpoint.pt", weights_only=True)
    model = load_model(run_dir).generator.state_dict()
    assert checkpoint["trainer"]["epoch"] == 2
    trained = checkpoint["trainer"]["generator"]
    assert all(torch.equal(trained[name], model[name]) for name in model)


def test_kept_models_are_of_their_epochs(run_dir: Path) -> None:
    models = [load_model(path) for path in sorted((run_dir / "models").iterdir())]
    assert [model.training["epochs"] for model in models] == [1, 2]
    assert models[0].weights_sha256 != models[1].weights_sha256
    assert models[1].weights_sha256 == load_model(run_dir).weights_sha256


def test_a_folder_with_a_run_is_not_written_over(
    run_dir: Path, small_recipe: Recipe, digits: Dataset
) -> None:
    before = (run_dir / "metrics.jsonl").read_bytes()
    with pytest.raises(OutputError, match="already holds a run; go on with it by --resume"):
        train(small_recipe, digits, run_dir, device=CPU)
    assert (run_dir / "metrics.jsonl").read_bytes() == before


def test_a_limit_of_time_ends_a_run_within_an_epoch(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    lines: list[str] = []
    train(
        small_recipe,
        digits,
        tmp_path,
        device=CPU,
        options=RunOptions(seconds_limit=1e-6),
        say=lines.append,
    )
    assert [line["step"] for line in read_metrics(tmp_path)] == [1]
    assert load_model(tmp_path).training["steps"] == 1
    assert lines[0].startswith("epoch 1/2  loss G ")


def test_seconds_grow_from_epoch_to_epoch(run_dir: Path) -> None:
    seconds = [line["seconds"] for line in read_metrics(run_dir)]
    assert all(earlier < later for earlier, later in pairwise(seconds))


def test_quality_is_measured_every_so_many_epochs(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    seen: list[Generator] = []

    def meter(generator: Generator) -> dict[str, float]:
        assert not generator.training
        seen.append(generator)
        return {"label_accuracy": 0.5, "recall": 0.4, "coverage": 0.3, "frechet": 20.0}

    recipe = dataclasses.replace(small_recipe, epochs=5)
    options = RunOptions(meter=meter, eval_every=2)
    train(recipe, digits, tmp_path, device=CPU, options=options)
    measured = ["label_accuracy" in line for line in read_metrics(tmp_path)]
    assert measured == [False, True, False, True, False]
    assert len(seen) == 2
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1500, 400)
