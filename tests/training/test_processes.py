"""Two processes really are started; what they learn is what one learns."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cgan_training.data import Dataset
from cgan_training.engine.trainer import Trainer
from cgan_training.errors import DeviceError, RecipeError
from cgan_training.hardware.processes import ProcessGroup, StopVote
from cgan_training.model_file import load_model
from cgan_training.recipe.schema import Recipe
from cgan_training.run import RunOptions, train
from cgan_training.run.directory import read_metrics

Launch = Callable[..., "subprocess.Popen[str]"]
CPU = torch.device("cpu")
SHORT = RunOptions(seconds_limit=1e-6)  # ends after the first step
# Sums of two halves round otherwise than sums of the whole. After 60 steps the curves were seen to
# differ by 3e-8; the difference grows with the steps, as it does between two machines.
ROUNDING = 1e-4

EACH_RANK = """
    import json, sys
    from pathlib import Path
    import torch
    from cgan_training.data import load_dataset
    from cgan_training.hardware.processes import StopVote, World, leave
    from cgan_training.errors import TrainingError
    from cgan_training.engine.trainer import Trainer
    from cgan_training.recipe.schema import load_recipe

    def fail():
        raise TrainingError("rank 1 alone failed")

    with World.from_environment().joined() as world:
        said = {"rank": world.rank, "from_rank_zero": world.from_rank_zero(lambda: world.rank)}
        began = world.rank_zero_first(lambda: Path("turns").open("a").write(str(world.rank)))
        try:
            world.together(fail if world.rank == 1 else lambda: None)
        except TrainingError as error:
            said["together"] = str(error)
        vote = StopVote(world)
        votes = [vote(world.rank == 1 and call >= 5) for call in range(100_000)]
        said["votes"] = votes.index([1.0])
        recipe = load_recipe(sys.argv[1])
        trainer = Trainer(recipe, load_dataset("optdigits", Path())[0], torch.device("cpu"), world)
        for _ in range(recipe.epochs):
            trainer.train_epoch()
        networks = (trainer.generator, trainer.discriminator, trainer.average)
        said["weights"] = [
            weight.flatten().tolist() for each in networks for weight in each.parameters()
        ]
        Path(f"{world.rank}.json").write_text(json.dumps(said))
    leave(0)
"""


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Start two processes of a module or script in the test's folder."""

    def start(*arguments: object) -> "subprocess.Popen[str]":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        torchrun = ["torch.distributed.run", "--nproc-per-node", 2, "--master-port", port]
        return subprocess.Popen(
            [sys.executable, "-m", *map(str, [*torchrun, *arguments])],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def train_by_two(launch: Launch, small_toml: Path) -> Callable[..., tuple[int, str, str]]:
    """Run cgan-train in two processes: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        fixed = ["--dataset", "optdigits", "--threads", 1]
        process = launch("-m", "cgan_training", *fixed, *arguments)
        stdout, stderr = process.communicate(timeout=300)
        return process.returncode, stdout, stderr

    return run


def curve(run_dir: Path) -> list[float]:
    names = ("loss_generator", "loss_discriminator", "mean_d_real", "mean_d_fake")
    return [line[name] for line in read_metrics(run_dir) for name in names]


def test_two_processes_learn_what_one_learns_and_write_once(
    train_by_two: Callable[..., tuple[int, str, str]],
    small_toml: Path,
    run_dir: Path,
    tmp_path: Path,
) -> None:
    code, stdout, stderr = train_by_two("--recipe", small_toml, "--run-dir", "two")
    assert code == 0, stderr
    assert curve(tmp_path / "two") == pytest.approx(curve(run_dir), rel=ROUNDING)
    assert stdout == "two/model.pt\n"
    assert [line.split()[0] for line in stderr.splitlines()] == ["recipe", "epoch", "epoch"]
    assert {path.name for path in tmp_path.iterdir()} == {"small.toml", "two"}
    assert json.loads((tmp_path / "two" / "config.json").read_text())["processes"] == 2
    assert len(list((tmp_path / "two" / "samples").iterdir())) == 2


def test_the_ranks_end_with_the_same_weights_and_decide_alike(
    launch: Launch, small_toml: Path, tmp_path: Path
) -> None:
    small_toml.write_text(small_toml.read_text().replace("average = 0.0", "average = 0.9"))
    (tmp_path / "each.py").write_text(textwrap.dedent(EACH_RANK))
    _, stderr = (process := launch("each.py", small_toml)).communicate(timeout=300)
    assert process.returncode == 0, stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert (first.pop("rank"), second.pop("rank")) == (0, 1)
    assert first == second
    assert first["from_rank_zero"] == 0
    assert first["together"] == "rank 1 alone failed"
    assert first["votes"] >= 5
    assert (tmp_path / "turns").read_text() == "01"


def test_a_run_of_two_is_gone_on_with_by_one(
    train_by_two: Callable[..., tuple[int, str, str]],
    small_toml: Path,
    small_recipe: Recipe,
    digits: Dataset,
    run_dir: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    code, _, stderr = train_by_two("--recipe", small_toml, "--run-dir", folder, "--minutes", 1e-6)
    assert code == 0, stderr
    assert load_model(folder).training["steps"] == 1
    train(small_recipe, digits, folder, device=CPU, options=RunOptions(resume=True))
    assert curve(folder) == pytest.approx(curve(run_dir), rel=ROUNDING)


def test_a_run_of_one_is_gone_on_with_by_two(
    train_by_two: Callable[..., tuple[int, str, str]],
    small_recipe: Recipe,
    digits: Dataset,
    run_dir: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    train(small_recipe, digits, folder, device=CPU, options=SHORT)
    code, _, stderr = train_by_two("--resume", folder)
    assert code == 0, stderr
    assert stderr.count("resumed at epoch 1, step 1\n") == 1
    assert curve(folder) == pytest.approx(curve(run_dir), rel=ROUNDING)


def test_a_batch_that_cannot_be_shared_is_refused_once(
    train_by_two: Callable[..., tuple[int, str, str]], small_toml: Path, tmp_path: Path
) -> None:
    small_toml.write_text(small_toml.read_text().replace("batch_size = 100", "batch_size = 99"))
    code, stdout, stderr = train_by_two("--recipe", small_toml, "--run-dir", "run")
    assert code == 1
    assert stdout == ""
    (error,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert error == (
        "error: recipe 'small': 2 processes cannot share its batches of 99 evenly; "
        "start as many as divide batch_size, or change it"
    )
    assert not (tmp_path / "run").exists()


def test_a_signal_saves_and_ends_both(launch: Launch, small_toml: Path, tmp_path: Path) -> None:
    arguments = ["--recipe", small_toml, "--dataset", "optdigits", "--epochs", 1000]
    process = launch("-m", "cgan_training", *arguments, "--run-dir", "run", "--threads", 1)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode != 0
    (error,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert error.startswith("error: stopped by SIGTERM in epoch ")
    assert error.endswith("everything is saved, go on with cgan-train --resume run")
    assert "[rank" not in stderr  # neither left with a traceback


@pytest.mark.parametrize("size", [2, 3, 5])
def test_shards_are_disjoint_and_cover_the_epoch(size: int) -> None:
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(0))
    for batch in order.split(150):
        shards = [ProcessGroup(rank, size).share(batch) for rank in range(size)]
        assert {len(shard) for shard in shards} == {150 // size}
        assert torch.equal(torch.cat(shards).sort().values, batch.sort().values)


def test_alone_nothing_is_initialised() -> None:
    assert ProcessGroup.from_environment({}) == ProcessGroup()
    assert (
        ProcessGroup.from_environment({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"})
        == ProcessGroup()
    )
    three = {"WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "1"}
    assert ProcessGroup.from_environment(three) == ProcessGroup(rank=2, size=3, local_rank=1)
    with ProcessGroup().joined() as world:
        assert not torch.distributed.is_initialized()
        network, numbers = torch.nn.Linear(1, 1), torch.ones(4)
        assert world.synced(network) is network
        assert world.mean(numbers) is numbers
        assert torch.equal(world.share(numbers), numbers)
        assert world.most(1, 2) == StopVote(world)(1, 2) == [1, 2]


def test_each_process_of_a_host_takes_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)
    cuda = torch.device("cuda")
    assert ProcessGroup().device(cuda) == cuda
    assert ProcessGroup(3, 4, 1).device(cuda) == torch.device("cuda", 1)
    assert ProcessGroup(3, 4, 1).device(CPU) == CPU
    with pytest.raises(DeviceError, match="process 2 of this host finds 2 CUDA"):
        ProcessGroup(2, 4, 2).device(cuda)


def test_too_many_processes_are_refused_in_a_line(small_recipe: Recipe, digits: Dataset) -> None:
    with pytest.raises(RecipeError, match="3 processes cannot share its batches of 100 evenly"):
        Trainer(small_recipe, digits, CPU, ProcessGroup(0, 3))
