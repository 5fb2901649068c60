"""A run that was killed or stopped ends like an uninterrupted one."""

import dataclasses
import errno
import os
import pty
import random
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command
from forked_processes import ForkedProcess, wait_until
from run_results import CPU, RESUME, files, losses, weights

from cgan_runtime.errors import OutputError
from cgan_training.data import Dataset
from cgan_training.engine.trainer import EpochMetrics
from cgan_training.model_file import load_model
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, read_metrics, train
from cgan_training.run.artifacts import RunArtifacts
from cgan_training.run.checkpoint import (
    CHECKPOINT_NAME,
    NEXT_CHECKPOINT_NAME,
    PREVIOUS_CHECKPOINT_NAME,
    load_checkpoint,
)

KILLS = 24

# Trains in forked children, so that torch is imported once. Each line of stdin names a run
# directory and the time after which the child is killed, or "wait" if the child may finish.
FORKING_TRAINER = """
    import os, shutil, signal, sys, time
    from pathlib import Path
    import torch, torch._dynamo  # an optimizer would import it
    from cgan_training import RunOptions, load_dataset, load_recipe, train

    torch.set_num_threads(1)
    recipe, data = load_recipe(sys.argv[1]), load_dataset("optdigits", Path())[0]
    for line in sys.stdin:
        name, seconds = line.split()
        folder, child = Path(name), os.fork()
        if child == 0:
            resume = (folder / "checkpoint.pt").exists()
            if not resume:
                shutil.rmtree(folder, ignore_errors=True)
            options = RunOptions(resume=resume, checkpoint_seconds=0.03)
            train(recipe, data, folder, device=torch.device("cpu"), options=options)
            os._exit(0)
        if seconds != "wait":
            time.sleep(float(seconds))
            os.kill(child, signal.SIGKILL)
        print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture
def long_recipe(small_recipe: Recipe) -> Recipe:
    return dataclasses.replace(small_recipe, name="long", epochs=3, min_images_per_epoch=9_000)


def test_a_run_killed_at_random_moments_ends_bit_identical(
    long_recipe: Recipe, recipe_file: Callable[[Recipe], Path], tmp_path: Path
) -> None:
    random_times = random.Random(2014)
    kills = [f"killed {random_times.uniform(0.02, 0.3)}" for _ in range(KILLS)]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKING_TRAINER), recipe_file(long_recipe)],
        cwd=tmp_path,
        input="".join(f"{line}\n" for line in ["uninterrupted wait", *kills, "killed wait"]),
        capture_output=True,
        text=True,
        check=True,
    )
    first, *codes, last = [int(line) for line in done.stdout.split()]
    assert first == last == 0, done.stderr
    assert codes.count(signal.SIGKILL) >= KILLS - 4  # the others finished before their time
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    assert weights(killed) == weights(uninterrupted)
    assert losses(killed) == losses(uninterrupted)
    assert not (killed / NEXT_CHECKPOINT_NAME).exists()


@pytest.mark.parametrize("renamed", [True, False], ids=["renamed", "not renamed"])
def test_a_run_stopped_within_an_epoch_can_be_resumed(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path, renamed: bool
) -> None:
    """A run may be killed before its first checkpoint gets its final name."""
    train(small_recipe, digits, tmp_path, device=CPU, options=RunOptions(seconds_limit=1e-6))
    assert load_model(tmp_path).training["steps"] == 1
    if not renamed:
        (tmp_path / CHECKPOINT_NAME).rename(tmp_path / NEXT_CHECKPOINT_NAME)
        (tmp_path / PREVIOUS_CHECKPOINT_NAME).unlink(missing_ok=True)
    options = RunOptions(resume=True, checkpoint_seconds=0)  # saving does not change the weights
    train(small_recipe, digits, tmp_path, device=CPU, options=options)
    assert weights(tmp_path) == weights(run_dir)
    assert losses(tmp_path) == losses(run_dir)


def test_a_run_killed_at_the_end_of_an_epoch_can_be_resumed(
    small_recipe: Recipe,
    digits: Dataset,
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run is killed after the last step of its second epoch, before the epoch is saved."""
    record = RunArtifacts.record

    def killed(artifacts: RunArtifacts, epoch: EpochMetrics) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt
        record(artifacts, epoch)

    monkeypatch.setattr(RunArtifacts, "record", killed)
    options = RunOptions(checkpoint_seconds=0)
    with pytest.raises(KeyboardInterrupt):
        train(small_recipe, digits, tmp_path, device=CPU, options=options)
    monkeypatch.undo()
    train(small_recipe, digits, tmp_path, device=CPU, options=RESUME)
    assert weights(tmp_path) == weights(run_dir)
    assert losses(tmp_path) == losses(run_dir)


@pytest.fixture
def endless(long_recipe: Recipe, recipe_file: Callable[[Recipe], Path]) -> list[str]:
    """Return the options of a run that ends with a signal."""
    recipe = recipe_file(dataclasses.replace(long_recipe, epochs=1000))
    return ["--recipe", str(recipe), "--dataset", "optdigits", "--run-dir", "run"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_the_run_and_sets_the_exit_code(
    call: Command, endless: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    process = ForkedProcess(tmp_path, *endless)
    wait_until((tmp_path / "run" / CHECKPOINT_NAME).exists)
    process.send_signal(number)
    code, _, stderr = process.finish()
    assert code == 128 + number
    last = stderr.splitlines()[-1]
    assert last.startswith(f"error: stopped by {number.name} in epoch ")
    assert last.endswith("; the state is saved, continue with cgan-train --resume run")
    done = call("cgan-train", "--resume", "run", "--minutes", 0.0001)
    assert done.returncode == 0, done.stderr
    assert b"resumed at epoch " in done.stderr


def test_an_ignored_signal_stays_ignored(endless: list[str], tmp_path: Path) -> None:
    """nohup and a shell's background jobs let a process ignore signals."""
    process = ForkedProcess(tmp_path, *endless, ignored=signal.SIGHUP)
    wait_until((tmp_path / "run" / CHECKPOINT_NAME).exists)
    process.send_signal(signal.SIGHUP)
    epochs = len(read_metrics(tmp_path / "run"))
    wait_until(lambda: len(read_metrics(tmp_path / "run")) > epochs + 1)
    process.send_signal(signal.SIGTERM)
    code, _, stderr = process.finish()
    assert code == 128 + signal.SIGTERM
    assert "error: stopped by SIGTERM" in stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals need POSIX")
def test_a_closed_terminal_saves_the_run(endless: list[str], tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [sys.executable, "-m", "cgan_training", *endless])

    def is_saved() -> bool:
        if select.select([terminal], [], [], 0)[0]:
            os.read(terminal, 4096)
        return (tmp_path / "run" / CHECKPOINT_NAME).exists()

    wait_until(is_saved)
    os.close(terminal)
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) != -signal.SIGHUP
    assert not list((tmp_path / "run").glob(".*"))


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(
    small_recipe: Recipe, digits: Dataset, run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = files(run_copy)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*: No space left on device"):
        train(small_recipe, digits, run_copy, device=CPU, options=RESUME)
    assert files(run_copy) == before


def test_a_run_directory_moved_during_training_ends_the_run(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"

    def move(_: object) -> dict[str, float]:
        run.rename(elsewhere)
        return {}

    options = RunOptions(create_evaluator=lambda: move, eval_every=2)
    with pytest.raises(OutputError, match=r"cannot write .*/run/.*: No such file or directory; "):
        train(small_recipe, digits, run, device=CPU, options=options)
    assert load_checkpoint(elsewhere)[0]["trainer"]["epoch"] == 1
