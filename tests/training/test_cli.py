import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cgan_training.model_file import load_model
from cgan_training.run.directory import read_metrics

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
# An address where nothing listens: a download is refused at once.
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


def test_a_run_from_the_command_line(command: Command, tmp_path: Path, small_toml: Path) -> None:
    arguments = ["--dataset", "optdigits", "--epochs", 1, "--run-dir", "run", "--threads", 1]
    done = command("cgan-train", "--recipe", small_toml, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"run/model.pt\n"
    assert (tmp_path / "run" / "model.pt").is_file()
    lines = done.stderr.decode().splitlines()
    assert lines[0].startswith("recipe small: 1 epochs of 1,500 images (scikit-learn")
    assert lines[1].startswith("epoch 1/1  loss G ")


def test_a_run_repeated_from_its_config_and_gone_on_with(
    call: Command, tmp_path: Path, small_toml: Path
) -> None:
    data = ["--dataset", "optdigits", "--threads", 1]
    runs: list[list[object]] = [
        ["--recipe", small_toml, *data, "--run-dir", "one"],
        ["--recipe", "one/config.json", *data, "--run-dir", "two"],
        ["--recipe", small_toml, *data, "--run-dir", "three", "--minutes", 1e-6],
        ["--resume", "three"],
    ]
    for arguments in runs:
        done = call("cgan-train", *arguments)
        assert done.returncode == 0, done.stderr
    hashes = {load_model(tmp_path / name).weights_sha256 for name in ("one", "two", "three")}
    assert len(hashes) == 1
    assert b"resumed at epoch 1, step 1\n" in done.stderr
    done = call("cgan-train", "--resume", "three", "--epochs", 5)
    assert done.returncode == 1
    assert b"has another recipe (epochs differs from 5)" in done.stderr
    assert b"optdigits" not in done.stdout


def test_recipes_are_listed(command: Command) -> None:
    assert command("cgan-train", "--list-recipes").stdout == b"edge\nedge-finish\nedge-long\nseed\n"


def test_a_dry_run_tells_the_plan_and_writes_nothing(
    call: Command, tmp_path: Path, small_toml: Path
) -> None:
    before = list(tmp_path.iterdir())
    done = call("cgan-train", "--recipe", small_toml, "--dataset", "optdigits", "--dry-run")
    assert done.returncode == 0, done.stderr
    plan = dict(line.split(maxsplit=1) for line in done.stdout.decode().splitlines())
    assert plan["batch_size"] == "100"
    assert plan["steps"] == "30 (15 an epoch)"
    assert plan["estimated"].endswith("minutes")
    assert list(tmp_path.iterdir()) == before


def test_a_dry_run_looks_at_what_it_would_start_from(
    call: Command, tmp_path: Path, small_toml: Path, run_dir: Path
) -> None:
    words = ["--recipe", small_toml, "--dataset", "optdigits", "--dry-run", "--start-from"]
    assert call("cgan-train", *words, run_dir).returncode == 0
    done = call("cgan-train", *words, tmp_path / "none")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().endswith("holds no run (no config.json); check the path\n")


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cgan_training", "--version"], capture_output=True, check=False
    )
    assert done.stdout.startswith(b"cgan-train ")


def test_settling_for_other_data_is_said_loudly(call: Command, small_toml: Path) -> None:
    arguments = ["--recipe", small_toml, "--data-dir", "data"]
    done = call("cgan-train", *arguments, CGAN_DATA_DIR="", **NO_NETWORK)
    assert done.returncode == 0, done.stderr
    assert b"NOT MNIST: MNIST is not in data/MNIST/raw and cannot be downloaded" in done.stderr


def broken_run(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "config.json").write_text("{}")


def file_in_the_way(folder: Path) -> None:
    (folder / "file").write_text("")


def damaged_mnist(folder: Path) -> None:
    raw = folder / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{part}-ubyte").write_bytes(b"\0\0")


@pytest.mark.parametrize(
    ("arguments", "prepare", "code", "message"),
    [
        (["--epochs", "0"], None, 2, "0 is not in the range"),
        (["--minutes", "0"], None, 2, "0.0 is not in the range"),
        (["--seed", "-1"], None, 2, "-1 is not in the range"),
        (["--dataset", "cifar"], None, 2, "'cifar' is not one of"),
        (["--device", "tpu"], None, 2, "'tpu' is not one of"),
        (["--frobnicate"], None, 2, "No such option"),
        (["--resume", "none"], None, 1, "none holds no run"),
        (["--recipe", "sead"], None, 1, "no recipe 'sead'; choose one of"),
        (["--recipe", "none.toml"], None, 1, "cannot read the recipe none.toml"),
        (["--dataset", "mnist"], None, 1, "cannot be downloaded"),
        (["--dataset", "mnist"], damaged_mnist, 1, "train-images-idx3-ubyte has 2 bytes"),
        (["--dataset", "optdigits", "--run-dir", "run"], broken_run, 1, "already holds a run"),
        (["--dataset", "optdigits", "--run-dir", "file/run"], file_in_the_way, 1, "cannot write"),
    ],
)
def test_bad_input_gets_one_line_and_a_code(
    call: Command,
    tmp_path: Path,
    arguments: list[str],
    prepare: Callable[[Path], None] | None,
    code: int,
    message: str,
) -> None:
    if prepare is not None:
        prepare(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    done = call("cgan-train", *arguments, CGAN_DATA_DIR="", **NO_NETWORK)
    assert done.returncode == code
    assert done.stdout == b""
    *announced, error = done.stderr.decode().splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert all(line.startswith("recipe edge: ") for line in announced)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_debug_shows_the_traceback(command: Command) -> None:
    done = command("cgan-train", "--recipe", "sead", "--debug")
    assert done.returncode == 1
    assert b"Traceback" in done.stderr


def test_help_costs_no_torch() -> None:
    code = (
        "import sys; from cgan_training.cli.train import command;"
        "command.main(['--help'], standalone_mode=False);"
        "print(sorted({'torch', 'torchvision', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_quality_along_the_way(
    call: Command, tmp_path: Path, small_toml: Path, judge_cache: Path
) -> None:
    run = ["--recipe", small_toml, "--dataset", "optdigits", "--threads", 1, "--run-dir", "run"]
    measure = ["--eval-every", 1, "--cache-dir", judge_cache, "--minutes", 1e-6]
    done = call("cgan-train", *run, *measure, "--tensorboard")
    assert done.returncode == 0, done.stderr
    done = call("cgan-train", "--resume", "run", "--cache-dir", judge_cache)
    assert done.returncode == 0, done.stderr
    last = read_metrics(tmp_path / "run")[-1]
    assert 0 < last["label_accuracy"] < 1  # --eval-every is the run's, not the command's
    assert {"frechet", "recall", "coverage", "precision", "density"} <= last.keys()
    assert list((tmp_path / "run" / "tensorboard").iterdir())
