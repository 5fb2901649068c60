import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cgan_training.data import Dataset
from cgan_training.errors import MissingExtraError
from cgan_training.recipe.schema import Recipe
from cgan_training.run import RunOptions, train
from cgan_training.run.directory import read_metrics
from cgan_training.run.tensorboard import TensorBoardWriter

CPU = torch.device("cpu")


def shown(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def test_tensorboard_shows_the_runs_figures_and_sheets(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    train(small_recipe, digits, tmp_path, device=CPU, options=RunOptions(tensorboard=True))
    events, metrics = shown(tmp_path), read_metrics(tmp_path)
    assert set(events.Tags()["scalars"]) == set(metrics[0]) - {"epoch"}
    for name in ("loss_generator", "mean_d_real", "step"):
        points = [(event.step, event.value) for event in events.Scalars(name)]
        assert points == [(line["epoch"], pytest.approx(line[name])) for line in metrics]
    images = events.Images("sheet")
    assert [(image.step, image.width, image.height) for image in images] == [
        (1, 280, 280),
        (2, 280, 280),
    ]


def test_a_resumed_run_shows_each_epoch_once(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    first = RunOptions(tensorboard=True, seconds_limit=1e-6)
    train(small_recipe, digits, tmp_path, device=CPU, options=first)
    again = RunOptions(tensorboard=True, resume=True)
    train(small_recipe, digits, tmp_path, device=CPU, options=again)
    steps = [(event.step, event.value) for event in shown(tmp_path).Scalars("step")]
    assert steps == [(1, 15), (2, 30)]


def test_the_sheet_is_laid_out_row_by_row(tmp_path: Path) -> None:
    images = torch.arange(6, dtype=torch.uint8).mul(40).view(6, 1, 1, 1).expand(6, 1, 2, 3)
    board = TensorBoardWriter(tmp_path / "tensorboard")
    board.add({"epoch": 1}, images)
    board.close()
    (image,) = shown(tmp_path).Images("sheet")
    assert (image.width, image.height) == (2 * 3, 3 * 2)


def test_without_tensorboard_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cgan-training\[tensorboard\]'"):
        TensorBoardWriter(tmp_path)
