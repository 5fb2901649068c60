"""A run that starts from the networks of an earlier run."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_results import CPU

from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.errors import CheckpointError
from cgan_training.model_file import load_model
from cgan_training.provenance import check_provenance
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, train
from cgan_training.run.checkpoint import CHECKPOINT_NAME, load_checkpoint

VALID = {
    "recipe": {"name": "small", "seed": 0},
    "dataset": "optdigits",
    "threads": 1,
    "epochs": 2,
    "steps": 30,
    "seconds": 0.5,
}


@pytest.fixture(scope="module")
def next_recipe(small_recipe: Recipe) -> Recipe:
    return dataclasses.replace(small_recipe, name="next", seed=7, epochs=1, learning_rate=1e-4)


@pytest.fixture(scope="module")
def next_run(
    next_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("runs") / "next"
    train(next_recipe, digits, path, device=CPU, options=RunOptions(start_from=run_dir))
    return path


def test_a_trainer_takes_over_only_the_networks(
    next_recipe: Recipe, digits: Dataset, run_dir: Path
) -> None:
    saved = load_checkpoint(run_dir)[0]["trainer"]
    trainer = Trainer(next_recipe, digits, CPU)
    trainer.state.load_networks(saved)
    state = trainer.state_dict()
    for network in ("generator", "discriminator"):
        assert all(torch.equal(state[network][key], saved[network][key]) for key in saved[network])
    assert state["epoch"] == state["step"] == 0
    assert state["optimizer_g"]["state"] == {}


def test_config_and_model_record_the_run_that_they_started_from(next_run: Path) -> None:
    record = load_model(next_run).training["started_from"]
    assert (record["recipe"]["name"], record["recipe"]["seed"]) == ("small", 0)
    assert (record["dataset"], record["epochs"], record["steps"]) == ("optdigits", 2, 30)
    assert json.loads((next_run / "config.json").read_text())["started_from"] == record


def test_an_interrupted_run_keeps_the_record(
    next_recipe: Recipe, digits: Dataset, run_dir: Path, next_run: Path, tmp_path: Path
) -> None:
    options = RunOptions(start_from=run_dir, seconds_limit=1e-6)
    train(next_recipe, digits, tmp_path / "run", device=CPU, options=options)
    train(next_recipe, digits, tmp_path / "run", device=CPU, options=RunOptions(resume=True))
    resumed, uninterrupted = load_model(tmp_path / "run"), load_model(next_run)
    assert resumed.weights_sha256 == uninterrupted.weights_sha256
    assert resumed.training["started_from"] == uninterrupted.training["started_from"]


def test_a_truncated_checkpoint_is_replaced_by_the_previous_one(
    next_recipe: Recipe, digits: Dataset, run_copy: Path, tmp_path: Path
) -> None:
    """The new run may have other images of the same size."""
    (run_copy / CHECKPOINT_NAME).write_bytes(b"")
    images = dataclasses.replace(digits, images=digits.images[:300], labels=digits.labels[:300])
    options = RunOptions(start_from=run_copy)
    train(next_recipe, images, tmp_path / "new", device=CPU, options=options)
    assert load_model(tmp_path / "new").training["started_from"]["epochs"] == 1


def test_runs_that_do_not_match_are_rejected(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, run_copy: Path, tmp_path: Path
) -> None:
    def error_of(recipe: Recipe, data: Dataset, start_from: Path) -> str:
        options = RunOptions(start_from=start_from)
        with pytest.raises(CheckpointError) as caught:
            train(recipe, data, tmp_path / "new", device=CPU, options=options)
        assert not (tmp_path / "new").exists()
        return str(caught.value)

    longer = dataclasses.replace(small_recipe, noise_dim=12)
    assert "(ValueError: generator.layers.0.weight" in error_of(longer, digits, run_dir)
    labels, names = digits.labels.clamp(max=4), digits.class_names[:5]
    fewer = dataclasses.replace(digits, labels=labels, class_names=names)
    remedy = "start from a run with the same networks, image size and classes"
    assert remedy in error_of(small_recipe, fewer, run_dir)
    assert "none contains no run" in error_of(small_recipe, digits, tmp_path / "none")
    (run_copy / "config.json").write_text("{}")
    assert "(KeyError: 'dataset')" in error_of(small_recipe, digits, run_copy)
    for path in run_copy.glob("checkpoint*"):
        path.write_bytes(b"")
    error = error_of(small_recipe, digits, run_copy)
    assert f"{run_copy / CHECKPOINT_NAME} is truncated, damaged" in error


def test_without_a_recipe_the_other_run_gives_its_own(
    call: Callable[..., Any], run_dir: Path, tmp_path: Path
) -> None:
    options = ["--dataset", "optdigits", "--threads", 1, "--start-from", run_dir, "--minutes", 1e-6]
    done = call("cgan-train", *options, "--set", "batch_size=50", "--run-dir", "next")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"using the recipe small of {run_dir}\nrecipe small: ".encode())
    config, other = (
        json.loads((run / "config.json").read_text()) for run in (tmp_path / "next", run_dir)
    )
    assert config["recipe"] == other["recipe"] | {"batch_size": 50}
    assert "recipe_path" not in config


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "small"},
        {"recipe": {"name": "small"}},
        {"epochs": 2.0},
        {"threads": True},
        {"seconds": float("nan")},
        {"dataset": "\udcff"},
        {"started_from": 5},
        {"started_from": {}},
        {"more": torch.zeros(1)},
    ],
    ids=repr,
)
def test_an_invalid_record_is_rejected(change: dict[str, Any]) -> None:
    assert check_provenance({**VALID, "started_from": VALID})["started_from"] == VALID
    with pytest.raises((TypeError, ValueError)):
        check_provenance({**VALID, **change})


def test_an_endless_record_is_rejected() -> None:
    endless: dict[str, Any] = dict(VALID)
    endless["started_from"] = endless
    with pytest.raises(ValueError, match="started_from records are nested more than 100 deep"):
        check_provenance(endless)
