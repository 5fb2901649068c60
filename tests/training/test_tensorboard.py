"""TensorBoard files of a run."""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from run_results import CPU
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cgan_training.data import Dataset
from cgan_training.engine.finished_generator import SAMPLE_ROWS
from cgan_training.errors import MissingExtraError
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, read_metrics, train
from cgan_training.run.tensorboard import add_epoch, open_tensorboard


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


@pytest.mark.parametrize("classes", [1, 3, 26])
def test_a_tensorboard_sheet_shows_all_images_with_a_column_per_class(
    tmp_path: Path, classes: int
) -> None:
    images = torch.arange(classes, dtype=torch.uint8).mul(9).repeat(SAMPLE_ROWS)
    writer = open_tensorboard(tmp_path, 0)
    add_epoch(writer, {"epoch": 1}, images.view(-1, 1, 1, 1).expand(-1, 1, 4, 5))
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    [image] = events.Images("sheet")
    sheet = np.asarray(Image.open(BytesIO(image.encoded_image_string)).convert("L"))
    assert sheet.shape == (4 * SAMPLE_ROWS, 5 * classes)
    assert (sheet == np.repeat(np.arange(classes) * 9, 5)).all()


def test_a_missing_tensorboard_is_reported_before_anything_is_written(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    options, run_dir = RunOptions(tensorboard=True), tmp_path / "run"
    with pytest.raises(MissingExtraError, match=r"pip install 'cgan-training\[tensorboard\]'"):
        train(small_recipe, digits, run_dir, device=CPU, options=options)
    assert not run_dir.exists()
