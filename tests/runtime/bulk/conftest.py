"""The command, and what it is held against."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bulk_jobs import IMAGES, MANY, OWN_CLUSTER, SAME_JOB, SEED, START_BULK, Bulk, Start, home
from click.testing import CliRunner, Result

from cgan_runtime.cli.bulk import command
from cgan_runtime.generator import ImageGenerator


@pytest.fixture
def bulk(tmp_path: Path) -> Bulk:
    """Run the command with the model that ships: bulk("--count", 9, "--output", "digits")."""

    def run_it(*arguments: object, **extra: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*START_BULK, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | home(tmp_path) | extra,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run_it


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command on a job that takes a while, of small shards, into the folder digits."""
    started = []

    def start_it(*arguments: object) -> "subprocess.Popen[str]":
        options = ["--count", MANY, "--seed", SEED, "--shard-images", IMAGES]
        process = subprocess.Popen(
            [*START_BULK, *map(str, (*options, "--output", "digits", *arguments))],
            cwd=tmp_path,
            env=os.environ | OWN_CLUSTER | home(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_it
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in this process."""
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: object) -> Result:
        return CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=True)

    return run_it


@pytest.fixture(scope="module")
def shipped() -> ImageGenerator:
    """The model that ships: int8, the same bytes in every batch."""
    return ImageGenerator(provider="cpu", threads=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the whole of SAME_JOB. Not to be written to."""
    folder = tmp_path_factory.mktemp("finished") / "digits"
    options = [*SAME_JOB, "--seed", str(SEED), "--output", str(folder)]
    assert CliRunner().invoke(command, options).exit_code == 0
    return folder
