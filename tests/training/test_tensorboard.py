"""TensorBoard files of a run."""

import sys
from pathlib import Path

import pytest
from run_results import CPU
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cgan_training.data import Dataset
from cgan_training.errors import MissingExtraError
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, read_metrics, train


def test_a_resumed_run_shows_the_metrics_and_sheet_of_each_epoch_once(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    first = RunOptions(tensorboard=True, seconds_limit=1e-6)
    train(small_recipe, digits, tmp_path, device=CPU, options=first)
    second = RunOptions(tensorboard=True, resume=True)
    train(small_recipe, digits, tmp_path, device=CPU, options=second)
    events, metrics = EventAccumulator(str(tmp_path / "tensorboard")), read_metrics(tmp_path)
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(metrics[0]) - {"epoch"}
    for name in ("loss_generator", "mean_d_real", "step"):
        points = [(event.step, event.value) for event in events.Scalars(name)]
        assert points == [(line["epoch"], pytest.approx(line[name])) for line in metrics]
    sheets = [(image.step, image.width, image.height) for image in events.Images("sheet")]
    assert sheets[-2:] == [(1, 280, 280), (2, 280, 280)]


def test_a_missing_tensorboard_is_reported_before_anything_is_written(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    options, run_dir = RunOptions(tensorboard=True), tmp_path / "run"
    with pytest.raises(MissingExtraError, match=r"pip install 'cgan-training\[tensorboard\]'"):
        train(small_recipe, digits, run_dir, device=CPU, options=options)
    assert not run_dir.exists()
