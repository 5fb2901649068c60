"""Training in two processes gives the result of one process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from forked_processes import ForkedProcess, wait_until
from run_results import CPU

from cgan_training.cli.train import main
from cgan_training.data import Dataset
from cgan_training.errors import LaunchError
from cgan_training.hardware import rendezvous
from cgan_training.hardware.processes import PeriodicMaximum, Processes
from cgan_training.recipe import Recipe
from cgan_training.run import RunOptions, read_metrics, train

# The sums of two halves are rounded differently. The difference, 3e-8 after 60 steps, grows with
# the number of steps, as it does between two machines.
ROUNDING = 1e-4
SCRIPT_ALL_RANKS = """
import json, sys
from pathlib import Path
import torch
from cgan_training import TrainingError, load_dataset, load_recipe
from cgan_training.engine import Trainer
from cgan_training.hardware.processes import Processes, PeriodicMaximum, exit_process

def fail():
    raise TrainingError("only rank 1 failed")

with Processes.from_environment().joined() as processes:
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


SCRIPT_LOST_PEER = """
import os, sys, time
from cgan_training.errors import LaunchError
from cgan_training.hardware.processes import Processes, exit_process

try:
    with Processes.from_environment().joined() as processes:
        processes.maximum(1)
        if processes.rank == 1:
            time.sleep(1)
            os._exit(0)
        processes.on_all(lambda: None)
except LaunchError as error:
    print(error)
exit_process(0)
"""
ENVIRONMENT = {
    "WORLD_SIZE": "3",
    "RANK": "2",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


class Ranks:
    """Two processes of one training, in a folder."""

    def __init__(self, folder: Path, *arguments: object, script: str | None = None) -> None:
        options = [] if script else ["--dataset", "optdigits", "--threads", 1]
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        self.processes = [
            ForkedProcess(
                folder,
                *options,
                *arguments,
                script=folder / script if script else None,
                environment={"WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank} | address,
            )
            for rank in ("0", "1")
        ]

    def finish(self) -> str:
        """Wait until both have succeeded; return stdout."""
        results = [process.finish() for process in self.processes]
        assert [code for code, _, _ in results] == [0, 0], results
        return "".join(stdout for _, stdout, _ in results)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def torchrun(folder: Path, *arguments: object) -> "subprocess.Popen[str]":
    """Start cgan-train in two processes of torchrun."""
    options = ["torch.distributed.run", "--nproc-per-node", 2, "--master-port", free_port()]
    train = ["-m", "cgan_training", "--dataset", "optdigits", "--threads", 1]
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, (*options, *train, *arguments))],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def errors(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("error: ")]


def curve(run_dir: Path) -> list[float]:
    names = ("loss_generator", "loss_discriminator", "mean_d_real", "mean_d_fake")
    return [line[name] for line in read_metrics(run_dir) for name in names]


def test_two_processes_train_like_one_and_write_the_files_once(
    small_toml: Path, run_dir: Path, tmp_path: Path
) -> None:
    stdout = Ranks(tmp_path, "--recipe", small_toml, "--run-dir", "two").finish()
    assert stdout == "two/model.pt\n"
    assert curve(tmp_path / "two") == pytest.approx(curve(run_dir), rel=ROUNDING)
    assert {path.name for path in tmp_path.iterdir()} == {"small.toml", "two"}
    assert json.loads((tmp_path / "two" / "config.json").read_text())["processes"] == 2
    assert len(list((tmp_path / "two" / "samples").iterdir())) == 2


def test_all_ranks_agree(small_toml: Path, tmp_path: Path) -> None:
    small_toml.write_text(small_toml.read_text().replace("ema_decay = 0.0", "ema_decay = 0.9"))
    (tmp_path / "script.py").write_text(SCRIPT_ALL_RANKS)
    Ranks(tmp_path, small_toml, script="script.py").finish()
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first["on_rank_zero"] == 0
    assert first["on_all"] == "only rank 1 failed"
    assert first["first_maximum"] >= 5
    assert (tmp_path / "turns").read_text() == "01"


def test_the_number_of_processes_may_change_on_resume(
    small_toml: Path, small_recipe: Recipe, digits: Dataset, run_dir: Path, tmp_path: Path
) -> None:
    Ranks(tmp_path, "--recipe", small_toml, "--run-dir", "run", "--minutes", 1e-6).finish()
    options = RunOptions(resume=True, seconds_limit=1e-6)
    train(small_recipe, digits, tmp_path / "run", device=CPU, options=options)
    Ranks(tmp_path, "--resume", "run").finish()
    assert curve(tmp_path / "run") == pytest.approx(curve(run_dir), rel=ROUNDING)


def test_an_error_of_all_ranks_is_reported_once(small_toml: Path, tmp_path: Path) -> None:
    small_toml.write_text(small_toml.read_text().replace("batch_size = 100", "batch_size = 99"))
    process = torchrun(tmp_path, "--recipe", small_toml, "--run-dir", "run")
    stdout, stderr = process.communicate(timeout=300)
    assert (process.returncode, stdout) == (1, "")
    (error,) = errors(stderr)
    assert error.startswith(
        "error: recipe 'small': 2 processes cannot share batches of 99 evenly; "
    )
    assert not (tmp_path / "run").exists()


def test_a_signal_saves_the_run_and_ends_all_processes(small_toml: Path, tmp_path: Path) -> None:
    process = torchrun(tmp_path, "--recipe", small_toml, "--epochs", 1000, "--run-dir", "run")
    wait_until((tmp_path / "run" / "checkpoint.pt").exists)
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
    shards = [Processes(rank, size).shard(batch) for rank in range(size)]
    assert {len(shard) for shard in shards} == {1500 // size}
    assert torch.equal(torch.cat(shards).sort().values, torch.arange(1500))


def test_a_single_process_initializes_nothing() -> None:
    assert Processes.from_environment({}) == Processes()
    one = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
    assert Processes.from_environment(one) == Processes()
    assert Processes.from_environment({"WORLD_SIZE": "1"}) == Processes()
    assert Processes.from_environment(ENVIRONMENT) == Processes(rank=2, size=3, local_rank=1)
    with Processes().joined() as processes:
        assert not torch.distributed.is_initialized()
        network, numbers = torch.nn.Linear(1, 1), torch.ones(4)
        assert processes.with_synced_gradients(network) is network
        assert processes.mean(numbers) is numbers
        assert torch.equal(processes.shard(numbers), numbers)
        assert processes.maximum(1, 2) == PeriodicMaximum(processes)(1, 2) == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: None}, f"variable {name} is not set, but ") for name in ENVIRONMENT),
        *(({name: ""}, f"variable {name} is empty, but ") for name in ENVIRONMENT),
        ({"RANK": "x"}, "RANK must be a number from 0 to 2, got 'x'; "),
        ({"RANK": "3"}, "RANK must be a number from 0 to 2, got '3'; "),
        ({"RANK": "-1"}, "RANK must be a number from 0 to 2, got '-1'; "),
        ({"RANK": "\N{ARABIC-INDIC DIGIT ONE}"}, "RANK must be a number from 0 to 2, got "),
        ({"RANK": "0" * 10**6}, "RANK must be a number from 0 to 2, got '0000"),
        ({"LOCAL_RANK": "3"}, "LOCAL_RANK must be a number from 0 to 2, got '3'; "),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE must be a number from 1 to 65536, got '0'; "),
        ({"WORLD_SIZE": "1"}, "RANK must be a number from 0 to 0, got '2'; "),
        ({"MASTER_PORT": "65536"}, "MASTER_PORT must be a number from 1 to 65535, got '65536'; "),
    ],
    ids=lambda each: ascii(each)[:40] if isinstance(each, dict) else "",
)
def test_a_wrong_environment_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str | None],
    message: str,
) -> None:
    for name, value in (ENVIRONMENT | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["cgan-train", "--dataset", "optdigits"])
    with pytest.raises(SystemExit) as exiting:
        main()
    assert exiting.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the environment variable ")
    assert message in error
    assert error.count("\n") == 1
    assert len(error) < 400


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_work_in_a_wrong_environment(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    for name, value in (ENVIRONMENT | {"RANK": "x"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["cgan-train", option])
    with pytest.raises(SystemExit) as exiting:
        main()
    assert exiting.value.code == 0


@pytest.fixture
def start_rank(tmp_path: Path) -> Iterator[Callable[..., ForkedProcess]]:
    """Start one of two processes."""
    processes = []

    def start(rank: int, port: int) -> ForkedProcess:
        values = {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        process = ForkedProcess(tmp_path, "--dataset", "optdigits", environment=values | address)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()


@pytest.mark.parametrize(("rank", "number"), [(0, signal.SIGINT), (1, signal.SIGTERM)])
def test_waiting_for_other_processes_is_reported_and_ends_with_a_signal(
    start_rank: Callable[..., ForkedProcess], rank: int, number: signal.Signals
) -> None:
    port = free_port()
    process = start_rank(rank, port)
    line = process.first_error_line()
    assert line.startswith(f"rank {rank} waits for all 2 processes at 127.0.0.1:{port}")
    process.send_signal(number)
    code, _, stderr = process.finish()
    assert code == 128 + number
    assert len(errors(stderr)) == 1
    assert "Traceback" not in stderr


def test_a_port_in_use_is_reported(start_rank: Callable[..., ForkedProcess]) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        code, _, stderr = start_rank(0, other.getsockname()[1]).finish()
    assert code == 1
    (error,) = stderr.splitlines()
    assert error.startswith("error: cannot connect to the other processes (")
    assert "address already in use" in error


def test_waiting_for_other_processes_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(rendezvous, "NOTICE_SECONDS", 0.1)
    monkeypatch.setattr(rendezvous, "_initialize", lambda *_: time.sleep(60))
    with (
        pytest.raises(LaunchError, match=r"did not connect within 0\.2 seconds; start all of them"),
        Processes(rank=1, size=2, local_rank=1).joined(),
    ):
        pass


def test_a_process_whose_peer_dies_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT_LOST_PEER)
    stdout = Ranks(tmp_path, script="script.py").finish()
    assert stdout.startswith("the connection to another process broke (RuntimeError: ")
    assert stdout.count("\n") == 1
