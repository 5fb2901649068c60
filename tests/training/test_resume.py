"""A run that was killed, stopped or damaged ends like an uninterrupted one, or is rejected."""

import dataclasses
import json
import logging
import os
import pty
import random
import select
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

from cgan_runtime.errors import OutputError
from cgan_training.archive import save_archive
from cgan_training.data import Dataset
from cgan_training.errors import CheckpointError
from cgan_training.model_file import load_model
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, read_config, read_metrics, train
from cgan_training.run.checkpoint import NAME, NEXT_NAME, PREVIOUS_NAME, load_checkpoint
from cgan_training.run.config import MAX_CONFIG_BYTES

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
Change = Callable[[dict[str, Any]], object]
CPU = torch.device("cpu")
KILLS = 24
RESUME = RunOptions(resume=True)

# Trains in forked children, so that torch is imported once. Each line of stdin names a run
# directory and the time after which the child is killed, or "wait" if the child may finish.
FORKING_TRAINER = """
    import os, shutil, signal, sys, time
    from pathlib import Path
    import torch
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
    return dataclasses.replace(small_recipe, name="long", epochs=3, min_images_per_epoch=18_000)


def weights(run_dir: Path) -> str:
    return load_model(run_dir).weights_sha256


def losses(run_dir: Path) -> list[tuple[float, float]]:
    metrics = read_metrics(run_dir)
    assert [line["epoch"] for line in metrics] == list(range(1, len(metrics) + 1))
    return [(line["loss_generator"], line["loss_discriminator"]) for line in metrics]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_killed_at_random_moments_ends_bit_identical(
    long_recipe: Recipe, recipe_file: Callable[[Recipe], Path], tmp_path: Path
) -> None:
    random_times = random.Random(2014)
    kills = [f"killed {random_times.uniform(0.02, 0.5)}" for _ in range(KILLS)]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKING_TRAINER), recipe_file(long_recipe)],
        cwd=tmp_path,
        input="".join(f"{line}\n" for line in ["uninterrupted wait", *kills, "killed wait"]),
        capture_output=True,
        text=True,
        check=True,
    )
    first, *codes, last = [int(line) for line in done.stdout.split()]
    assert first == last == 0
    assert codes.count(signal.SIGKILL) >= KILLS - 4  # the others finished before their time
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    assert weights(killed) == weights(uninterrupted)
    assert losses(killed) == losses(uninterrupted)
    assert not (killed / NEXT_NAME).exists()


@pytest.mark.parametrize("renamed", [True, False], ids=["renamed", "not renamed"])
def test_a_run_stopped_within_an_epoch_can_be_resumed(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path, renamed: bool
) -> None:
    """A run may be killed before its first checkpoint gets its final name."""
    train(small_recipe, digits, tmp_path, device=CPU, options=RunOptions(seconds_limit=1e-6))
    assert load_model(tmp_path).training["steps"] == 1
    if not renamed:
        (tmp_path / NAME).rename(tmp_path / NEXT_NAME)
        (tmp_path / PREVIOUS_NAME).unlink(missing_ok=True)
    options = RunOptions(resume=True, checkpoint_seconds=0)  # saving does not change the weights
    train(small_recipe, digits, tmp_path, device=CPU, options=options)
    assert weights(tmp_path) == weights(run_dir)
    assert losses(tmp_path) == losses(run_dir)


@pytest.mark.parametrize("damage", ["empty", "truncated", "one bit"])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_used(
    small_recipe: Recipe,
    digits: Dataset,
    run_dir: Path,
    run_copy: Path,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "cgan_training")
    content = bytearray((run_copy / NAME).read_bytes())
    content[len(content) // 2] ^= 1
    size = {"empty": 0, "truncated": -1000, "one bit": None}[damage]
    (run_copy / NAME).write_bytes(content[:size])
    train(small_recipe, digits, run_copy, device=CPU, options=RESUME)
    warning, _, resumed, *_ = caplog.messages
    assert warning.startswith(f"{run_copy / NAME} is truncated, damaged or not a checkpoint (")
    assert warning.endswith("); using the checkpoint before it")
    assert resumed == "resumed at epoch 2, step 15"
    assert weights(run_copy) == weights(run_dir)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "cgan-model"}, "is not a checkpoint of cgan-train; "),
        ({"version": 2}, "has checkpoint format 2, but this release reads 1; "),
    ],
)
def test_another_format_is_rejected(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_archive({"format": "cgan-checkpoint", "version": 1} | change, tmp_path / NAME)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


def test_a_different_recipe_or_dataset_is_rejected(
    small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    other = dataclasses.replace(small_recipe, learning_rate=1e-3)
    with pytest.raises(CheckpointError, match=r"different recipe \(learning_rate is"):
        train(other, digits, run_dir, device=CPU, options=RESUME)
    fewer = dataclasses.replace(digits, images=digits.images[1:], labels=digits.labels[1:])
    with pytest.raises(
        CheckpointError, match="was trained on other images, labels or class names than"
    ):
        train(small_recipe, fewer, run_dir, device=CPU, options=RESUME)
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*; start a new run"):
        train(small_recipe, digits, tmp_path / "none", device=CPU, options=RESUME)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_the_run_and_sets_the_exit_code(
    call: Command,
    long_recipe: Recipe,
    recipe_file: Callable[[Recipe], Path],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    recipe = recipe_file(dataclasses.replace(long_recipe, epochs=1000))
    script = Path(sys.executable).with_name("cgan-train")
    arguments: list[Any] = ["--recipe", recipe, "--dataset", "optdigits", "--run-dir", "run"]
    process = subprocess.Popen([script, *arguments], cwd=tmp_path, stderr=subprocess.PIPE)
    wait_for_checkpoint(tmp_path / "run")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    last = stderr.decode().splitlines()[-1]
    assert last.startswith(f"error: stopped by {number.name} in epoch ")
    assert last.endswith("; the state is saved, continue with cgan-train --resume run")
    done = call("cgan-train", "--resume", "run", "--minutes", 0.0001)
    assert done.returncode == 0, done.stderr
    assert b"resumed at epoch " in done.stderr


def wait_for_checkpoint(run_dir: Path) -> None:
    deadline = time.monotonic() + 120
    while not (run_dir / NAME).exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_an_ignored_signal_stays_ignored(
    long_recipe: Recipe, recipe_file: Callable[[Recipe], Path], tmp_path: Path
) -> None:
    """As nohup and a shell's background jobs ask for."""
    recipe = recipe_file(dataclasses.replace(long_recipe, epochs=1000))
    arguments = ["--recipe", str(recipe), "--dataset", "optdigits", "--run-dir", "run"]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "cgan_training", *arguments],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for_checkpoint(tmp_path / "run")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"error: stopped by SIGTERM" in stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals need POSIX")
def test_a_closed_terminal_saves_the_run(
    long_recipe: Recipe, recipe_file: Callable[[Recipe], Path], tmp_path: Path
) -> None:
    recipe = recipe_file(dataclasses.replace(long_recipe, epochs=1000))
    train_and_exit = f"""
        import runpy, sys
        sys.argv[1:] = ["--recipe", {str(recipe)!r}, "--dataset", "optdigits", "--run-dir", "run"]
        runpy.run_module("cgan_training", run_name="__main__")
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [sys.executable, "-c", textwrap.dedent(train_and_exit)])
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / NAME).exists() and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 4096)
    os.close(terminal)
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) != -signal.SIGHUP
    assert not list((tmp_path / "run").glob(".*"))


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(
    small_recipe: Recipe, digits: Dataset, run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

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


def replace_metrics(text: str) -> Change:
    return lambda it: it.update(metrics=text)


def set_loss(value: object) -> Change:
    def change(content: dict[str, Any]) -> None:
        first, *others = map(json.loads, content["metrics"].splitlines())
        content["metrics"] = "\n".join(
            map(json.dumps, [first | {"loss_generator": value}, *others])
        )

    return change


def test_a_run_of_20000_epochs_is_resumed(
    small_recipe: Recipe, digits: Dataset, run_copy: Path
) -> None:
    content = torch.load(run_copy / NAME, weights_only=True)
    last = json.loads(content["metrics"].splitlines()[-1])
    lines = [json.dumps(last | {"epoch": epoch}) for epoch in range(1, 20_001)]
    content["metrics"] = "\n".join(lines)
    save_archive(content, run_copy / NAME)
    train(small_recipe, digits, run_copy, device=CPU, options=RESUME)
    assert len(read_metrics(run_copy)) == 20_000


RECIPE, PARTS = "has a different recipe (", "does not fit its recipe ("


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (RECIPE, lambda it: it.pop("recipe")),
        (RECIPE, lambda it: it.update(recipe=torch.zeros(2))),
        (RECIPE, lambda it: it.update(recipe={1: 2, "a": 3, (1, 2): 4})),
        (RECIPE, lambda it: it["recipe"].update(seed=torch.tensor([0, 0]))),
        (RECIPE, lambda it: it["recipe"].update(more=1)),
        (RECIPE, lambda it: it["recipe"].update(seed=False)),
        (RECIPE, lambda it: it["recipe"]["generator"].update(hidden=[32])),
        (RECIPE, lambda it: it["recipe"]["generator"].update(hidden=torch.tensor([32, 48]))),
        (PARTS, lambda it: it.pop("metrics")),
        (PARTS, lambda it: it.update(metrics=5)),
        *((PARTS, replace_metrics(text)) for text in ("[]", "5", "[" * 10**5, '{"epoch": 1}')),
        *((PARTS, set_loss(value)) for value in ("x", None, float("nan"))),
        (PARTS, lambda it: it.update(started_from=5)),
        (PARTS, lambda it: it.pop("trainer")),
        (PARTS, lambda it: it.update(trainer=[1])),
        (PARTS, lambda it: it["trainer"].update(epoch="x" * 10**6)),
    ],
)
def test_a_checkpoint_with_inconsistent_content_is_rejected(
    small_recipe: Recipe, digits: Dataset, run_copy: Path, message: str, change: Change
) -> None:
    content = torch.load(run_copy / NAME, weights_only=True)
    change(content)
    save_archive(content, run_copy / NAME)  # with correct checksums
    before = files(run_copy)
    with pytest.raises(CheckpointError) as caught:
        train(small_recipe, digits, run_copy, device=CPU, options=RESUME)
    assert files(run_copy) == before
    text = str(caught.value)
    assert message in text
    assert text.endswith("start a new run")
    assert "\n" not in text
    assert len(text) < 600


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "5", "null", "[" * 100_000, "\N{DIGIT ONE}\ud800"),
        *('{"dataset": []}', '{"dataset": {"dataset": 5}}', '{"dataset": {"data_dir": ["x"]}}'),
        *('{"device": "tpu"}', '{"device": 5}', '{"device": ["cpu"]}', '{"tensorboard": "yes"}'),
        *('{"threads": 0}', '{"threads": "2"}', '{"threads": 100000}', '{"threads": true}'),
        *('{"keep_every": -1}', '{"eval_every": 1.5}', '{"recipe_path": 5}'),
        " " * MAX_CONFIG_BYTES + "{}",
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_a_damaged_config_is_rejected(tmp_path: Path, run_dir: Path, text: str) -> None:
    assert read_config(run_dir)["device"] == "cpu"
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json, or it is damaged; "):
        read_config(tmp_path)


def test_a_config_that_is_a_pipe_is_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")  # reading it would wait for a writer
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json, or it is damaged; "):
        read_config(tmp_path)


def test_the_model_says_how_its_weights_came_about(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    options = RunOptions(
        dataset_argument="/a/\udce4/digits", data_dir="/data", recipe_path="/recipes/small.toml"
    )
    train(small_recipe, digits, tmp_path / "whole", device=CPU, options=options)
    facts = load_model(tmp_path / "whole").training
    assert facts["dataset_sha256"] == digits.sha256
    assert facts["dataset_path"] == "/a/\\udce4/digits"
    assert (facts["data_dir"], facts["recipe_path"]) == ("/data", "/recipes/small.toml")
    assert (facts["device"], facts["processes"]) == ("cpu", 1)
    assert facts["threads"] == torch.get_num_threads()
    assert not {"resumed", "stopped_after_seconds", "seconds_limit"} & facts.keys()
    config = read_config(tmp_path / "whole")
    assert config["dataset"]["sha256"] == digits.sha256
    assert config["recipe_path"] == "/recipes/small.toml"


def test_the_model_says_whether_a_time_limit_or_another_machine_changed_the_run(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def facts(name: str, **options: Any) -> dict[str, Any]:
        folder = tmp_path / name
        train(small_recipe, digits, folder, device=CPU, options=RunOptions(**options))
        return load_model(folder).training

    limited = facts("limited", seconds_limit=1e-6)
    assert 0 < limited["stopped_after_seconds"] <= limited["seconds"] + 0.1
    assert limited["seconds_limit"] == 1e-6
    resumed = facts("limited", resume=True)
    assert resumed["resumed"] is True
    assert not {"stopped_after_seconds", "seconds_limit"} & resumed.keys()
    assert "resumed" not in facts("whole")
    assert "resumed" not in facts("whole", resume=True)
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    assert facts("whole", resume=True)["resumed"] is True  # the last calibration was another's
    monkeypatch.undo()
    assert facts("limited", resume=True)["resumed"] is True


def test_a_run_that_continues_with_other_threads_warns(
    small_recipe: Recipe,
    digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    train(small_recipe, digits, tmp_path, device=CPU, options=RunOptions(seconds_limit=1e-6))
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    train(small_recipe, digits, tmp_path, device=CPU, options=RESUME)
    (warning,) = (each.message for each in caplog.records if each.levelno == logging.WARNING)
    assert warning.startswith(f"the run had {threads} thread")
    assert warning.endswith(f"; use --threads {threads} to avoid that")
