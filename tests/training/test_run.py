"""The files and the progress of a run."""

import dataclasses
import errno
import io
import json
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageFont
from run_results import CPU

from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write
from cgan_training.data import Dataset
from cgan_training.engine import EpochMetrics, Trainer
from cgan_training.errors import CheckpointError, CollapsedError
from cgan_training.model_file import load_model
from cgan_training.networks import Generator
from cgan_training.pictures.sample_sheet import MAX_FRAME_PIXELS
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, artifacts, collapse, read_metrics, train
from cgan_training.run.progress import Progress


def test_a_run_writes_its_files(run_dir: Path) -> None:
    files = {str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if path.is_file()}
    assert files == {
        "checkpoint-previous.pt",
        "checkpoint.pt",
        "config.json",
        "curves.png",
        "grid.png",
        "metrics.jsonl",
        "model.pt",
        "models/epoch-0001.pt",
        "models/epoch-0002.pt",
        "samples.webp",
        "samples/epoch-0001.png",
        "samples/epoch-0002.png",
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
        "epoch",
        "step",
        "loss_generator",
        "loss_discriminator",
        "mean_d_real",
        "mean_d_fake",
        "images_per_second",
        "seconds",
    }


@pytest.mark.parametrize("content", [b"", b"{}\n[[1]]\n", b"{\n", b"\xff\n", b"5\n", b"[" * 99_999])
def test_damaged_metrics_are_rejected(tmp_path: Path, content: bytes) -> None:
    if content:
        (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cannot read .*metrics\.jsonl, or it is damaged \("):
        read_metrics(tmp_path)


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


@pytest.mark.parametrize(("limit", "left"), [(math.inf, "00:58 left"), (7.0, "00:05 left")])
@pytest.mark.parametrize("bar", [True, False], ids=["bar", "lines"])
def test_the_time_left_respects_the_time_limit(
    small_recipe: Recipe,
    digits: Dataset,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    limit: float,
    left: str,
    bar: bool,
) -> None:
    caplog.set_level(logging.INFO, "cgan_training")
    trainer = Trainer(small_recipe, digits, CPU)  # 30 steps
    epoch = trainer.train_epoch(lambda _steps, _sums: False)
    trainer.state.seconds, trainer.seconds_limit = 2.0, limit
    progress = Progress(trainer, bar=bar)
    with progress.bar:
        progress.step(1, torch.zeros(4))
        progress.end_epoch(epoch)
    assert left in (capfd.readouterr().err if bar else caplog.text)


@pytest.mark.parametrize(
    ("seconds", "limit", "notes"), [(400, math.inf, 1), (400, 1e9, 0), (30, math.inf, 0)]
)
def test_a_time_limit_is_suggested_once_for_a_long_training(
    small_recipe: Recipe,
    digits: Dataset,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    limit: float,
    notes: int,
) -> None:
    caplog.set_level(logging.INFO, "cgan_training")
    trainer = Trainer(small_recipe, digits, CPU)  # 30 steps
    trainer.seconds_limit, progress = limit, Progress(trainer, bar=False)
    trainer.train_epoch(lambda _steps, _sums: False)
    trainer.state.seconds = seconds
    for _ in range(2):
        progress.step(1, torch.zeros(4))
    assert caplog.text.count("takes about 3:13:20 longer; to end it earlier") == notes


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, [False, True, False, True, True]), (1e-6, [True])],
    ids=["all epochs", "a part of one epoch"],
)
def test_quality_is_measured_every_n_epochs_and_at_the_end(
    small_recipe: Recipe,
    digits: Dataset,
    tmp_path: Path,
    limit: float | None,
    expected: list[bool],
) -> None:
    evaluated: list[Generator] = []

    def evaluator(generator: Generator) -> dict[str, float]:
        assert not generator.training
        evaluated.append(generator)
        return {"label_accuracy": 0.5, "recall": 0.4, "coverage": 0.3, "frechet": 20.0}

    recipe = dataclasses.replace(small_recipe, epochs=5)
    options = RunOptions(create_evaluator=lambda: evaluator, eval_every=2, seconds_limit=limit)
    train(recipe, digits, tmp_path, device=CPU, options=options)
    assert ["label_accuracy" in line for line in read_metrics(tmp_path)] == expected
    assert len(evaluated) == expected.count(True)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1500, 400)


@pytest.mark.parametrize(
    ("losses", "outputs", "advice"),
    [
        ((9.9, 0.0), (1.0, 0.0), "is 1.00 for real and 0.00 for generated ones); weaken the "),
        ((85_880.3, 0.0), (1.0, 0.0), "the losses diverge (85,880); divide the recipe's learn"),
        ((-3.0, 250.0), (0.6, 0.4), "the losses diverge (250); divide the recipe's learning_ra"),
        ((0.7, 0.7), (0.5, 0.5), "; lower the recipe's learning_rate, or change its seed"),
    ],
    ids=["discriminator wins", "diverged and D is right", "diverged", "unknown"],
)
def test_the_advice_about_a_collapse_fits_its_cause(
    losses: tuple[float, float], outputs: tuple[float, float], advice: str
) -> None:
    epoch = EpochMetrics(5, 9, *losses, *outputs, 1.0, 1.0)
    with pytest.raises(CollapsedError, match=re.escape(advice)):
        collapse.require_variety(torch.zeros(4, 1, 8, 8), epoch, Path("run"))


def test_a_collapsed_generator_ends_the_run(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collapse, "MIN_SHEET_DEVIATION", 255)
    with pytest.raises(CollapsedError, match=r"after epoch 1 .*/samples\); lower the recipe's"):
        train(small_recipe, digits, tmp_path, device=CPU)
    assert (tmp_path / "samples" / "epoch-0001.png").exists()


def fail(*_: object) -> Any:
    raise ValueError("encoding error 5")


@pytest.mark.parametrize(
    ("functions", "missing"),
    [
        (
            [
                (ImageFont, "load_default"),
                (artifacts, "draw_animation"),
                (artifacts, "draw_curves"),
                (artifacts, "add_epoch"),
            ],
            [
                "writing samples/epoch-0001.png",
                "writing samples/epoch-0002.png",
                "writing grid.png",
                "writing samples.webp",
                "writing curves.png",
                "adding epoch 2 to the TensorBoard files",
            ],
        ),
        (
            [(Trainer, "sample_images"), (artifacts, "open_tensorboard")],
            ["writing samples/epoch-0001.png", "writing grid.png", "opening the TensorBoard files"],
        ),
    ],
    ids=["drawing", "sampling"],
)
def test_a_picture_that_cannot_be_made_is_logged_and_the_model_written(
    small_recipe: Recipe,
    digits: Dataset,
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    functions: list[tuple[object, str]],
    missing: list[str],
) -> None:
    with monkeypatch.context() as patch:
        for target, name in functions:
            patch.setattr(target, name, fail)
        train(small_recipe, digits, tmp_path, device=CPU, options=RunOptions(tensorboard=True))
    assert load_model(tmp_path).weights_sha256 == load_model(run_dir).weights_sha256
    for each in missing:
        expected = f"{each} failed (ValueError: encoding error 5); the run continues"
        assert expected in caplog.messages
    train(small_recipe, digits, tmp_path, device=CPU, options=RunOptions(resume=True))
    assert (tmp_path / "grid.png").exists()


def test_a_disk_that_is_full_for_a_picture_only_does_not_end_the_run(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.BytesIO):
        def write(self, _content: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    @contextmanager
    def write(path: Path) -> Iterator[Any]:
        with atomic_write(path) as file:
            yield FullDisk() if path.suffix in (".png", ".webp") else file

    monkeypatch.setattr(artifacts, "atomic_write", write)
    train(small_recipe, digits, tmp_path, device=CPU)
    assert load_model(tmp_path).training["epochs"] == 2
    assert not list(tmp_path.rglob("*.png"))


def test_an_evaluation_that_fails_or_has_no_result_does_not_end_the_run(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    figures = iter([{"label_accuracy": 0.5, "recall": math.nan, "frechet": math.inf}])
    options = RunOptions(create_evaluator=lambda: lambda _: next(figures), eval_every=1)
    train(small_recipe, digits, tmp_path, device=CPU, options=options)
    first, second = read_metrics(tmp_path)
    assert first["label_accuracy"] == 0.5
    assert not {"recall", "frechet", "label_accuracy"} & (
        set(second) | set(first) - {"label_accuracy"}
    )
    assert any(
        each.startswith("measuring the quality of epoch 2 failed (") for each in caplog.messages
    )
    assert (tmp_path / "curves.png").exists()


def test_a_run_of_many_classes_ends_with_a_model_and_pictures(
    small_recipe: Recipe, tmp_path: Path
) -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (256, 1, 32, 32), dtype=torch.uint8, generator=rng)
    names = tuple(f"class {label}" for label in range(256))
    data = Dataset("many", "a test", images, torch.arange(256), names)
    recipe = dataclasses.replace(small_recipe, epochs=1)
    train(recipe, data, tmp_path, device=CPU)
    assert load_model(tmp_path).class_names == names
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (1876, 1968)
    with Image.open(tmp_path / "samples.webp") as animation:
        assert math.prod(animation.size) <= MAX_FRAME_PIXELS
        assert animation.width / animation.height == pytest.approx(grid.width / grid.height, 0.01)
