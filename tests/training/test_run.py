import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from cgan_runtime.errors import OutputError
from cgan_training.data import Dataset
from cgan_training.errors import CollapsedError
from cgan_training.model_file import load_model
from cgan_training.networks import Generator
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, artifacts, read_metrics, train

CPU = torch.device("cpu")


def test_a_run_writes_its_files(run_dir: Path) -> None:
    files = {str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if path.is_file()}
    assert files == {
        *("checkpoint-previous.pt", "checkpoint.pt", "config.json", "curves.png", "grid.png"),
        *("metrics.jsonl", "model.pt", "samples.webp"),
        *("models/epoch-0001.pt", "models/epoch-0002.pt"),
        *("samples/epoch-0001.png", "samples/epoch-0002.png"),
    }


def test_the_config_contains_the_resolved_recipe(run_dir: Path, small_recipe: Recipe) -> None:
    config = json.loads((run_dir / "config.json").read_text())
    assert config["recipe"] == small_recipe.to_dict()
    assert config["dataset"]["name"] == config["dataset"]["dataset"] == "optdigits"
    assert config["versions"]["torch"] == torch.__version__


def test_metrics_have_one_line_per_epoch(run_dir: Path) -> None:
    metrics = read_metrics(run_dir)
    assert [line["epoch"] for line in metrics] == [1, 2]
    assert all(one["seconds"] < two["seconds"] for one, two in pairwise(metrics))
    assert set(metrics[0]) == {
        *("epoch", "step", "loss_generator", "loss_discriminator"),
        *("mean_d_real", "mean_d_fake", "images_per_second", "seconds"),
    }


def test_sample_sheets_show_ten_by_ten_digits(run_dir: Path) -> None:
    size = 604, 656  # ten digits of 56 + 4 pixels, and two margins for text
    for path in (run_dir / "grid.png", run_dir / "samples" / "epoch-0001.png"):
        with Image.open(path) as sheet:
            assert sheet.size == size
            assert len(set(sheet.tobytes())) > 50
    with Image.open(run_dir / "samples.webp") as animation:
        assert (animation.format, animation.size) == ("WEBP", size)
        assert getattr(animation, "n_frames", 1) == 2


def test_the_model_contains_the_trained_generator(run_dir: Path) -> None:
    checkpoint = torch.load(run_dir / "checkpoint.pt", weights_only=True)
    model = load_model(run_dir).generator.state_dict()
    assert checkpoint["trainer"]["epoch"] == 2
    trained = checkpoint["trainer"]["generator"]
    assert all(torch.equal(trained[name], model[name]) for name in model)
    kept = [load_model(path) for path in sorted((run_dir / "models").iterdir())]
    assert [each.training["epochs"] for each in kept] == [1, 2]
    assert kept[0].weights_sha256 != kept[1].weights_sha256 == load_model(run_dir).weights_sha256


def test_an_existing_run_is_not_overwritten(
    run_dir: Path, small_recipe: Recipe, digits: Dataset
) -> None:
    before = (run_dir / "metrics.jsonl").read_bytes()
    with pytest.raises(OutputError, match="already contains a run; continue it with --resume"):
        train(small_recipe, digits, run_dir, device=CPU)
    assert (run_dir / "metrics.jsonl").read_bytes() == before


def test_a_run_prints_nothing_unless_a_progress_bar_is_requested(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = dataclasses.replace(small_recipe, epochs=1)
    train(recipe, digits, tmp_path / "silent", device=CPU)
    assert capfd.readouterr() == ("", "")
    train(recipe, digits, tmp_path / "bar", device=CPU, options=RunOptions(progress_bar=True))
    assert "epoch 1/1" in capfd.readouterr().err


def test_quality_is_measured_every_n_epochs(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    evaluated: list[Generator] = []

    def evaluator(generator: Generator) -> dict[str, float]:
        assert not generator.training
        evaluated.append(generator)
        return {"label_accuracy": 0.5, "recall": 0.4, "coverage": 0.3, "frechet": 20.0}

    recipe = dataclasses.replace(small_recipe, epochs=5)
    options = RunOptions(evaluator=evaluator, eval_every=2)
    train(recipe, digits, tmp_path, device=CPU, options=options)
    measured = ["label_accuracy" in line for line in read_metrics(tmp_path)]
    assert measured == [False, True, False, True, False]
    assert len(evaluated) == 2
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1500, 400)


def test_a_collapsed_generator_ends_the_run(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "MIN_SHEET_DEVIATION", 255)
    with pytest.raises(CollapsedError, match=r"after epoch 1 .*/samples\); lower the recipe's"):
        train(small_recipe, digits, tmp_path, device=CPU)
    assert (tmp_path / "samples" / "epoch-0001.png").exists()
