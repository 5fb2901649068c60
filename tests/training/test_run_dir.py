"""One process at a time writes to a run directory, and a rejected run leaves nothing in it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_results import CPU

from cgan_runtime.errors import OutputError
from cgan_training.data import Dataset
from cgan_training.errors import DatasetError, TrainingError
from cgan_training.recipe import PerceptronGeneratorSettings, Recipe
from cgan_training.run import RunOptions, train
from cgan_training.run.checkpoint import CHECKPOINT_NAME, NEXT_CHECKPOINT_NAME
from cgan_training.run.directory import open_run_dir

PART = f".{'0123456789abcdef'}.part"


@pytest.mark.parametrize("resume", [True, False], ids=["resumed", "new"])
def test_a_second_process_in_a_run_directory_is_rejected(
    small_recipe: Recipe, digits: Dataset, run_copy: Path, tmp_path: Path, resume: bool
) -> None:
    folder = run_copy if resume else tmp_path / "new"
    options, remedy = RunOptions(resume=resume), "wait for it" if resume else "choose another --run"
    with open_run_dir(folder, resume=resume):
        before = sorted(folder.rglob("*"))
        with pytest.raises(OutputError, match=f"another cgan-train is writing to .*; {remedy}"):
            train(small_recipe, digits, folder, device=CPU, options=options)
        assert sorted(folder.rglob("*")) == before
    train(small_recipe, digits, folder, device=CPU, options=options)
    assert not (folder / ".lock").exists()


def test_a_resumed_run_deletes_what_a_killed_process_left(
    small_recipe: Recipe, digits: Dataset, run_copy: Path
) -> None:
    leftovers = [run_copy / PART, run_copy / "samples" / PART, run_copy / "models" / PART]
    others = [run_copy / ".notes", run_copy / "my.part"]
    for path in (*leftovers, *others, run_copy / NEXT_CHECKPOINT_NAME):
        path.write_bytes(b"half a file")
    train(small_recipe, digits, run_copy, device=CPU, options=RunOptions(resume=True))
    assert not any(path.exists() for path in (*leftovers, run_copy / NEXT_CHECKPOINT_NAME))
    assert all(path.exists() for path in (*others, run_copy / CHECKPOINT_NAME))


def one_image(data: Dataset) -> Dataset:
    return dataclasses.replace(data, images=data.images[:1], labels=data.labels[:1])


def no_test_part() -> Any:
    raise DatasetError("there is no test part; add it")


@pytest.mark.parametrize(
    ("change", "select", "options", "error"),
    [
        ({}, one_image, {}, "needs batches of two or more images per process, but there are 1 "),
        ({"batch_size": 1}, None, {}, "a batch_size of 1 and 1 processes; add images, raise"),
        ({}, None, {"create_evaluator": no_test_part, "eval_every": 1}, "there is no test part"),
        ({}, None, {"start_from": Path("none")}, "none contains no run"),
    ],
    ids=["one image", "batch of one", "no test part", "no run to start from"],
)
def test_a_run_that_cannot_train_is_rejected_before_anything_is_written(
    small_recipe: Recipe,
    digits: Dataset,
    tmp_path: Path,
    change: dict[str, Any],
    select: Callable[[Dataset], Dataset] | None,
    options: dict[str, Any],
    error: str,
) -> None:
    generator = PerceptronGeneratorSettings(hidden=(32, 48), batch_norm=True)
    recipe = dataclasses.replace(small_recipe, generator=generator, **change)
    data, folder = digits if select is None else select(digits), tmp_path / "run"
    with pytest.raises(TrainingError, match=error):
        train(recipe, data, folder, device=CPU, options=RunOptions(**options))
    assert not folder.exists()


@pytest.mark.parametrize(("images", "classes"), [(1, 1), (2, 1), (30, 1), (3, 3)])
def test_the_smallest_datasets_train(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, images: int, classes: int
) -> None:
    names, labels = digits.class_names[:classes], torch.arange(images) % classes
    data = dataclasses.replace(
        digits, images=digits.images[:images], labels=labels, class_names=names
    )
    recipe = dataclasses.replace(small_recipe, epochs=1)
    assert train(recipe, data, tmp_path, device=CPU).exists()
