"""A run that was killed, stopped or cut short ends like one that was not."""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cgan_runtime.errors import StoppedError
from cgan_training.archive import save_archive
from cgan_training.data import Dataset
from cgan_training.errors import CheckpointError
from cgan_training.model_file import load_model
from cgan_training.recipe.schema import Recipe
from cgan_training.run.checkpoint import FOLLOWING_NAME, NAME, PREVIOUS_NAME
from cgan_training.run.directory import read_metrics
from cgan_training.run import RunOptions, read_config, train

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
CPU = torch.device("cpu")
KILLS = 24
RESUME = RunOptions(resume=True)

# Trains in forked children, so that torch is imported once; each child is killed after a time
# that it is given on stdin, and the last one is left alone.
NURSERY = """
    import dataclasses, os, signal, sys, time
    from pathlib import Path
    import torch
    from cgan_training.data import load_dataset
    from cgan_training.recipe.schema import load_recipe
    from cgan_training.run import RunOptions, read_config, train

    torch.set_num_threads(1)
    recipe, folder = load_recipe(sys.argv[1]), Path(sys.argv[2])
    data = load_dataset("optdigits", Path())[0]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            resume = (folder / "checkpoint.pt").exists()
            if not resume and folder.exists():
                import shutil
                shutil.rmtree(folder)
            train(
                recipe, data, folder, device=torch.device("cpu"), say=lambda _: None,
                options=RunOptions(resume=resume, checkpoint_seconds=0.03),
            )
            os._exit(0)
        if line.strip() != "wait":
            time.sleep(float(line))
            os.kill(child, signal.SIGKILL)
        print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture
def longer(small_recipe: Recipe) -> Recipe:
    return dataclasses.replace(small_recipe, name="longer", epochs=3, epoch_images=30_000)


def weights(run_dir: Path) -> str:
    return load_model(run_dir).weights_sha256


def losses(run_dir: Path) -> list[tuple[float, float]]:
    metrics = read_metrics(run_dir)
    assert [line["epoch"] for line in metrics] == list(range(1, len(metrics) + 1))
    return [(line["loss_generator"], line["loss_discriminator"]) for line in metrics]


def test_a_run_killed_at_random_moments_ends_bit_identical(
    longer: Recipe, recipe_file: Callable[[Recipe], Path], tmp_path: Path
) -> None:
    recipe = recipe_file(longer)
    chance = random.Random(2014)

    def grow(folder: Path, moments: list[str]) -> list[int]:
        script = textwrap.dedent(NURSERY)
        done = subprocess.run(
            [sys.executable, "-c", script, recipe, folder],
            input="\n".join(moments) + "\n",
            capture_output=True,
            text=True,
            check=True,
        )
        return [int(line) for line in done.stdout.split()]

    assert grow(tmp_path / "undisturbed", ["wait"]) == [0]
    kills = [str(chance.uniform(0.02, 0.5)) for _ in range(KILLS)]
    endings = grow(tmp_path / "killed", [*kills, "wait"])
    assert endings.count(signal.SIGKILL) >= 20  # the others had already finished
    assert endings[-1] == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "undisturbed")
    assert losses(tmp_path / "killed") == losses(tmp_path / "undisturbed")
    assert not list((tmp_path / "killed").glob("checkpoint-following.pt"))


def test_a_run_stopped_in_the_middle_of_an_epoch_is_gone_on_with(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    stopped = tmp_path / "stopped"
    train(small_recipe, digits, stopped, device=CPU, options=RunOptions(seconds_limit=1e-6))
    assert load_model(stopped).training["steps"] == 1
    train(small_recipe, digits, stopped, device=CPU, options=RESUME)
    assert weights(stopped) == weights(run_dir)
    assert losses(stopped) == losses(run_dir)


def test_a_finished_run_resumed_is_as_it_was(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    train(small_recipe, digits, tmp_path, device=CPU)
    before = weights(tmp_path)
    train(small_recipe, digits, tmp_path, device=CPU, options=RESUME)
    assert weights(tmp_path) == before


@pytest.mark.parametrize("size", [0, 1000, -1000])
def test_a_cut_checkpoint_is_named_and_the_one_before_it_used(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path, size: int
) -> None:
    train(small_recipe, digits, tmp_path, device=CPU)
    newest = tmp_path / NAME
    newest.write_bytes(newest.read_bytes()[:size])
    said: list[str] = []
    train(small_recipe, digits, tmp_path, device=CPU, options=RESUME, say=said.append)
    assert f"{newest} is cut short, damaged or no checkpoint" in said[0]
    assert said[1] == "resumed at epoch 2, step 15"
    assert weights(tmp_path) == weights(run_dir)


def test_a_flipped_bit_is_found(small_recipe: Recipe, digits: Dataset, tmp_path: Path) -> None:
    train(small_recipe, digits, tmp_path, device=CPU)
    for path in (tmp_path / NAME, tmp_path / PREVIOUS_NAME):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1  # in the middle of some weights
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{NAME} is cut short, damaged"):
        train(small_recipe, digits, tmp_path, device=CPU, options=RESUME)


def test_a_pickle_that_would_run_code_does_not(tmp_path: Path, small_recipe: Recipe) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "was-here"),)

    torch.save({"format": "cgan-checkpoint", "version": 1, "trainer": Bomb()}, tmp_path / NAME)
    (tmp_path / "config.json").write_text("{}")
    from cgan_training.run.checkpoint import load_checkpoint

    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "was-here").exists()


def test_what_cannot_be_resumed_is_refused(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    other = dataclasses.replace(small_recipe, learning_rate=1e-3)
    with pytest.raises(CheckpointError, match=r"another recipe \(learning_rate differs from 0.001"):
        train(other, digits, run_dir, device=CPU, options=RESUME)
    fewer = dataclasses.replace(digits, images=digits.images[1:], labels=digits.labels[1:])
    with pytest.raises(CheckpointError, match="learnt other data"):
        train(small_recipe, fewer, run_dir, device=CPU, options=RESUME)
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train(small_recipe, digits, tmp_path / "none", device=CPU, options=RESUME)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves_with_its_code(
    command: Command,
    longer: Recipe,
    recipe_file: Callable[[Recipe], Path],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    recipe = recipe_file(dataclasses.replace(longer, epochs=1000))
    script = Path(sys.executable).with_name("cgan-train")
    arguments: list[Any] = ["--recipe", recipe, "--dataset", "optdigits", "--run-dir", "run"]
    process = subprocess.Popen([script, *arguments], cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / NAME).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    last = stderr.decode().splitlines()[-1]
    assert last.startswith(f"error: stopped by {number.name} in epoch ")
    assert last.endswith("go on with cgan-train --resume run")
    done = command("cgan-train", "--resume", "run", "--minutes", 0.0001)
    assert done.returncode == 0, done.stderr
    assert b"resumed at epoch " in done.stderr


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cgan_runtime.errors import OutputError

    train(small_recipe, digits, tmp_path, device=CPU)
    before = (tmp_path / NAME).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*: No space left on device"):
        train(small_recipe, digits, tmp_path, device=CPU, options=RESUME)
    assert (tmp_path / NAME).read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_options_change_nothing_that_is_learnt(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    options = RunOptions(checkpoint_seconds=0)
    train(small_recipe, digits, tmp_path, device=CPU, options=options)
    assert weights(tmp_path) == weights(run_dir)


def test_stopped_error_tells_the_exit_code() -> None:
    assert StoppedError("stopped", signal.SIGTERM).exit_code == 143


def resumed_with(
    change: Callable[[dict[str, Any]], object], recipe: Recipe, digits: Dataset, run: Path
) -> str:
    """Change a checkpoint, whose checksums are right again, and return what refuses it."""
    content = torch.load(run / NAME, weights_only=True)
    change(content)
    save_archive(content, run / NAME)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError) as caught:
        train(recipe, digits, run, device=CPU, options=RESUME)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.fixture
def own_run(run_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_dir, tmp_path / "run"))


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.pop("recipe"),
        lambda it: it.update(recipe=torch.zeros(2)),
        lambda it: it.update(recipe={1: 2, "a": 3, (1, 2): 4}),
        lambda it: it["recipe"].update(seed=torch.tensor([0, 0])),
        lambda it: it["recipe"].update(more=1),
        lambda it: it["recipe"].update(seed=False),
        lambda it: it["recipe"]["generator"].update(hidden=[32]),
        lambda it: it["recipe"]["generator"].update(hidden=torch.tensor([32, 48])),
    ],
)
def test_a_checkpoint_of_what_is_no_such_recipe(
    small_recipe: Recipe,
    digits: Dataset,
    own_run: Path,
    change: Callable[[dict[str, Any]], object],
) -> None:
    message = resumed_with(change, small_recipe, digits, own_run)
    assert "has another recipe (" in message


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.pop("metrics"),
        lambda it: it.update(metrics=5),
        lambda it: it.update(metrics={"epoch": 1}),
        lambda it: it.update(metrics=[5]),
        lambda it: it["metrics"][0].pop("loss_generator"),
        lambda it: it["metrics"][0].update(loss_generator="x"),
        lambda it: it["metrics"][0].update(loss_generator=torch.zeros(1)),
        lambda it: it["metrics"][0].update({(1, 2): 3}),
        lambda it: it.pop("trainer"),
        lambda it: it.update(trainer=[1]),
        lambda it: it["trainer"].update(epoch="x" * 10**6),
    ],
)
def test_a_checkpoint_whose_parts_do_not_fit(
    small_recipe: Recipe,
    digits: Dataset,
    own_run: Path,
    change: Callable[[dict[str, Any]], object],
) -> None:
    message = resumed_with(change, small_recipe, digits, own_run)
    assert "does not fit its recipe (" in message
    assert message.endswith("; start a new run")


def test_a_run_killed_before_its_first_checkpoint_had_its_name_goes_on(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    train(small_recipe, digits, tmp_path, device=CPU, options=RunOptions(seconds_limit=1e-6))
    (tmp_path / NAME).rename(tmp_path / FOLLOWING_NAME)
    (tmp_path / PREVIOUS_NAME).unlink(missing_ok=True)
    said: list[str] = []
    train(small_recipe, digits, tmp_path, device=CPU, options=RESUME, say=said.append)
    assert said[0] == "resumed at epoch 1, step 1"
    assert weights(tmp_path) == weights(run_dir)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        "null",
        "[" * 100_000,
        '{"dataset": []}',
        '{"dataset": {"dataset": 5}}',
        '{"dataset": {"data_dir": ["x"]}}',
        '{"device": "tpu"}',
        '{"device": 5}',
        '{"device": ["cpu"]}',
        '{"threads": 0}',
        '{"threads": "2"}',
        '{"threads": 100000}',
        '{"threads": true}',
        '{"keep_every": -1}',
        '{"eval_every": 1.5}',
        '{"tensorboard": "yes"}',
        "\N{DIGIT ONE}\ud800",
    ],
)
def test_a_config_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read or is damaged; start"):
        read_config(tmp_path)


def test_the_config_of_a_run_is_one(run_dir: Path) -> None:
    assert read_config(run_dir)["device"] == "cpu"
    assert read_config(run_dir)["dataset"]["name"] == "optdigits"
