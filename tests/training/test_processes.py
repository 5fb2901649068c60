"""Training in two real processes gives the result of one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cgan_training.data import Dataset
from cgan_training.hardware.processes import PeriodicMaximum, ProcessGroup
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, read_metrics, train

Launch = Callable[..., "subprocess.Popen[str]"]
CPU = torch.device("cpu")
# The sums of two halves are rounded differently. The difference, 3e-8 after 60 steps, grows with
# the number of steps, as it does between two machines.
ROUNDING = 1e-4
EACH_RANK = """
import json, sys
from pathlib import Path
import torch
from cgan_training import TrainingError, load_dataset, load_recipe
from cgan_training.engine import Trainer
from cgan_training.hardware.processes import ProcessGroup, PeriodicMaximum, exit_process

def fail():
    raise TrainingError("only rank 1 failed")

with ProcessGroup.from_environment().joined() as processes:
    result = {"on_rank_zero": processes.on_rank_zero(lambda: processes.rank)}
    processes.rank_zero_first(lambda: Path("turns").open("a").write(str(processes.rank)))
    try:
        processes.on_all(fail if processes.rank == 1 else lambda: None)
    except TrainingError as error:
        result["on_all"] = str(error)
    maximum = PeriodicMaximum(processes)
    maxima = [maximum(processes.rank == 1 and call >= 5) for call in range(100_000)]
    result["first_maximum"] = maxima.index([1.0])
    recipe, data = load_recipe(sys.argv[1]), load_dataset("optdigits", Path())[0]
    trainer = Trainer(recipe, data, torch.device("cpu"), processes)
    for _ in range(recipe.epochs):
        trainer.train_epoch()
    networks = (trainer.state.generator, trainer.state.discriminator, trainer.state.ema)
    result["weights"] = [each.tolist() for net in networks for each in net.parameters()]
    Path(f"{processes.rank}.json").write_text(json.dumps(result))
exit_process(0)
"""


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Start cgan-train, or a script, in two processes in the test's folder."""

    def start(*arguments: object, script: str | None = None) -> "subprocess.Popen[str]":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        torchrun = ["torch.distributed.run", "--nproc-per-node", 2, "--master-port", port]
        train = ["-m", "cgan_training", "--dataset", "optdigits", "--threads", 1]
        return subprocess.Popen(
            [sys.executable, "-m", *map(str, (*torchrun, *([script] if script else train)))]
            + [str(argument) for argument in arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finish(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    """Wait for the processes; return stdout and stderr."""
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == code, stderr
    return stdout, stderr


def errors(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("error: ")]


def curve(run_dir: Path) -> list[float]:
    names = ("loss_generator", "loss_discriminator", "mean_d_real", "mean_d_fake")
    return [line[name] for line in read_metrics(run_dir) for name in names]


def test_two_processes_train_like_one_and_write_the_files_once(
    launch: Launch, small_toml: Path, run_dir: Path, tmp_path: Path
) -> None:
    stdout, _ = finish(launch("--recipe", small_toml, "--run-dir", "two"))
    assert stdout == "two/model.pt\n"
    assert curve(tmp_path / "two") == pytest.approx(curve(run_dir), rel=ROUNDING)
    assert {path.name for path in tmp_path.iterdir()} == {"small.toml", "two"}
    assert json.loads((tmp_path / "two" / "config.json").read_text())["processes"] == 2
    assert len(list((tmp_path / "two" / "samples").iterdir())) == 2


def test_all_ranks_agree(launch: Launch, small_toml: Path, tmp_path: Path) -> None:
    small_toml.write_text(small_toml.read_text().replace("ema_decay = 0.0", "ema_decay = 0.9"))
    (tmp_path / "each.py").write_text(EACH_RANK)
    finish(launch(small_toml, script="each.py"))
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first["on_rank_zero"] == 0
    assert first["on_all"] == "only rank 1 failed"
    assert first["first_maximum"] >= 5
    assert (tmp_path / "turns").read_text() == "01"


def test_the_number_of_processes_may_change_on_resume(
    launch: Launch,
    small_toml: Path,
    small_recipe: Recipe,
    digits: Dataset,
    run_dir: Path,
    tmp_path: Path,
) -> None:
    finish(launch("--recipe", small_toml, "--run-dir", "run", "--minutes", 1e-6))
    options = RunOptions(resume=True, seconds_limit=1e-6)
    train(small_recipe, digits, tmp_path / "run", device=CPU, options=options)
    finish(launch("--resume", "run"))
    assert curve(tmp_path / "run") == pytest.approx(curve(run_dir), rel=ROUNDING)


def test_an_error_of_all_ranks_is_reported_once(
    launch: Launch, small_toml: Path, tmp_path: Path
) -> None:
    small_toml.write_text(small_toml.read_text().replace("batch_size = 100", "batch_size = 99"))
    stdout, stderr = finish(launch("--recipe", small_toml, "--run-dir", "run"), code=1)
    assert stdout == ""
    (error,) = errors(stderr)
    assert error.startswith(
        "error: recipe 'small': 2 processes cannot share batches of 99 evenly; "
    )
    assert not (tmp_path / "run").exists()


def test_a_signal_saves_the_run_and_ends_all_processes(
    launch: Launch, small_toml: Path, tmp_path: Path
) -> None:
    process = launch("--recipe", small_toml, "--epochs", 1000, "--run-dir", "run")
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode != 0
    (error,) = errors(stderr)
    assert error.startswith("error: stopped by SIGTERM in epoch ")
    assert error.endswith("continue with cgan-train --resume run")
    assert "[rank" not in stderr  # no traceback from torchrun


@pytest.mark.parametrize("size", [2, 3, 5])
def test_shards_are_disjoint_and_cover_the_batch(size: int) -> None:
    batch = torch.randperm(1500, generator=torch.Generator().manual_seed(0))
    shards = [ProcessGroup(rank, size).shard(batch) for rank in range(size)]
    assert {len(shard) for shard in shards} == {1500 // size}
    assert torch.equal(torch.cat(shards).sort().values, torch.arange(1500))


def test_a_single_process_initializes_nothing() -> None:
    assert ProcessGroup.from_environment({}) == ProcessGroup()
    one = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
    assert ProcessGroup.from_environment(one) == ProcessGroup()
    three = {"WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "1"}
    assert ProcessGroup.from_environment(three) == ProcessGroup(rank=2, size=3, local_rank=1)
    with ProcessGroup().joined() as processes:
        assert not torch.distributed.is_initialized()
        network, numbers = torch.nn.Linear(1, 1), torch.ones(4)
        assert processes.with_synced_gradients(network) is network
        assert processes.mean(numbers) is numbers
        assert torch.equal(processes.shard(numbers), numbers)
        assert processes.maximum(1, 2) == PeriodicMaximum(processes)(1, 2) == [1, 2]
