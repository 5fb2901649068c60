"""A run that begins with the networks of another."""

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cgan_training.data import Dataset
from cgan_training.engine.trainer import Trainer
from cgan_training.errors import CheckpointError
from cgan_training.model_file import load_model
from cgan_training.provenance import check_provenance
from cgan_training.recipe.schema import Recipe
from cgan_training.run import RunOptions, train
from cgan_training.run.checkpoint import NAME, load_checkpoint

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
CPU = torch.device("cpu")
SOUND = {
    "recipe": {"name": "small", "seed": 0},
    "dataset": "optdigits",
    "threads": 1,
    "epochs": 2,
    "steps": 30,
    "seconds": 0.5,
}


@pytest.fixture(scope="module")
def next_recipe(small_recipe: Recipe) -> Recipe:
    return dataclasses.replace(small_recipe, name="next", seed=7, learning_rate=1e-4)


def test_a_trainer_takes_over_the_networks_and_begins_anew(
    next_recipe: Recipe, digits: Dataset, run_dir: Path
) -> None:
    state = load_checkpoint(run_dir)[0]["trainer"]
    trainer = Trainer(next_recipe, digits, CPU)
    trainer.start_from(state)
    ours = trainer.state()
    for network in ("generator", "discriminator"):
        for name, tensor in ours[network].items():
            assert torch.equal(tensor, state[network][name])
    assert ours["epoch"] == ours["step"] == 0
    assert ours["optimizer_g"]["state"] == {}
    assert ours["optimizer_g"]["param_groups"][0]["lr"] == 1e-4


def test_a_run_tells_what_it_started_from_also_after_a_stop(
    next_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    whole, stopped, third = (tmp_path / name for name in ("whole", "stopped", "third"))
    start = RunOptions(start_from=run_dir)
    train(next_recipe, digits, whole, device=CPU, options=start)
    brief = dataclasses.replace(start, seconds_limit=1e-6)
    train(next_recipe, digits, stopped, device=CPU, options=brief)
    train(next_recipe, digits, stopped, device=CPU, options=RunOptions(resume=True))
    models = [load_model(whole), load_model(stopped)]
    assert models[0].weights_sha256 == models[1].weights_sha256
    afresh = tmp_path / "afresh"
    train(next_recipe, digits, afresh, device=CPU)
    assert load_model(afresh).weights_sha256 != models[0].weights_sha256
    assert "start" not in load_model(afresh).training
    for model in models:
        told = model.training["start"]
        assert (told["recipe"]["name"], told["recipe"]["seed"]) == ("small", 0)
        assert (told["dataset"], told["epochs"], told["steps"]) == ("optdigits", 2, 30)
    assert json.loads((whole / "config.json").read_text())["start"] == models[0].training["start"]
    train(next_recipe, digits, third, device=CPU, options=RunOptions(start_from=whole))
    told = load_model(third).training["start"]
    assert told["recipe"]["name"] == "next"
    assert told["start"] == models[0].training["start"]


def test_other_data_of_the_same_size_are_learnt(
    next_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    own = dataclasses.replace(digits, images=digits.images[:300], labels=digits.labels[:300])
    train(next_recipe, own, tmp_path / "own", device=CPU, options=RunOptions(start_from=run_dir))
    assert load_model(tmp_path / "own").training["start"]["dataset"] == "optdigits"


def test_what_cannot_be_started_from_is_refused(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    def refusal(recipe: Recipe, data: Dataset, start: Path) -> str:
        with pytest.raises(CheckpointError) as caught:
            train(recipe, data, tmp_path / "new", device=CPU, options=RunOptions(start_from=start))
        assert not (tmp_path / "new").exists()
        return str(caught.value)

    longer = dataclasses.replace(small_recipe, noise_dim=12)
    assert "(ValueError: generator.layers.0.weight is another); start from a run with" in refusal(
        longer, digits, run_dir
    )
    fewer = dataclasses.replace(
        digits, labels=digits.labels.clamp(max=4), class_names=digits.class_names[:5]
    )
    assert "start from a run with the same networks, image size and classes" in refusal(
        small_recipe, fewer, run_dir
    )
    assert "holds no run (no config.json); check the path" in refusal(
        small_recipe, digits, tmp_path / "none"
    )
    damaged = tmp_path / "damaged"
    shutil.copytree(run_dir, damaged)
    (damaged / "config.json").write_text("{}")
    assert "(KeyError: 'dataset')" in refusal(small_recipe, digits, damaged)
    for path in damaged.glob("checkpoint*"):
        path.write_bytes(b"")
    assert f"{damaged / NAME} is cut short, damaged" in refusal(small_recipe, digits, damaged)


def test_a_cut_checkpoint_is_named_and_the_one_before_it_started_from(
    next_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    cut, said = tmp_path / "cut", list[str]()
    shutil.copytree(run_dir, cut)
    (cut / NAME).write_bytes(b"")
    start = RunOptions(start_from=cut)
    train(next_recipe, digits, tmp_path / "new", device=CPU, options=start, say=said.append)
    assert f"{cut / NAME} is cut short, damaged or no checkpoint" in said[0]
    assert load_model(tmp_path / "new").training["start"]["epochs"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "small"},
        {"recipe": {"name": "small"}},
        {"epochs": 2.0},
        {"threads": True},
        {"seconds": float("nan")},
        {"dataset": "\udcff"},
        {"start": 5},
        {"start": {}},
        {"more": torch.zeros(1)},
    ],
    ids=repr,
)
def test_a_start_that_is_none(change: dict[str, Any]) -> None:
    assert check_provenance(SOUND) == SOUND
    assert check_provenance({**SOUND, "start": SOUND})["start"] == SOUND
    with pytest.raises((TypeError, ValueError)):
        check_provenance({**SOUND, **change})


def test_a_start_without_end_is_none() -> None:
    endless: dict[str, Any] = dict(SOUND)
    endless["start"] = endless
    with pytest.raises(ValueError, match="too many"):
        check_provenance(endless)


def test_from_the_command_line(
    call: Command, tmp_path: Path, small_toml: Path, run_dir: Path
) -> None:
    flags = ["--recipe", small_toml, "--dataset", "optdigits", "--start-from", run_dir]
    done = call("cgan-train", *flags, "--run-dir", "next")
    assert done.returncode == 0, done.stderr
    assert load_model(tmp_path / "next").training["start"]["recipe"]["name"] == "small"
    done = call("cgan-train", "--resume", "next", "--start-from", run_dir)
    assert done.returncode == 2
    assert b"--start-from begins another; give one" in done.stderr
    card = call("cgan-export", "next", "next.onnx", "--card")
    assert card.returncode == 0, card.stderr
    text = (tmp_path / "next.md").read_text()
    one, two = (line for line in text.splitlines() if line.startswith("    cgan-train"))
    assert one.startswith("    cgan-train --recipe small --dataset optdigits --epochs 2 --seed 0 ")
    assert one.endswith(" --run-dir runs/step-1")
    assert two.startswith("    cgan-train --start-from runs/step-1 --recipe small ")
    assert "| started from | small, 2 epochs of optdigits, " in text
    assert text.count("The whole recipe of small:") == 2
