"""The command cgan-bulk, in this process and as a subprocess, and finished jobs."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import bulk_jobs as jobs
import pytest
from bulk_jobs import Bulk, Start
from commands import Command, run_in_process

from cgan_runtime.bulk.job import Job, read_job


@pytest.fixture
def bulk(call: Command, tmp_path: Path) -> Bulk:
    """Run the command in this process: bulk("--count", 9, "--output", "digits")."""

    def run(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        done = call("cgan-bulk", *arguments, **environment)
        stdout, stderr = done.stdout.decode(), done.stderr.decode()
        return subprocess.CompletedProcess(done.args, done.returncode, stdout, stderr)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command as a process, on the long job, with the output folder "digits"."""
    processes = []

    def start_process(*arguments: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*jobs.BULK_PROCESS, *jobs.LONG_JOB, "--seed", str(jobs.SEED), *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | jobs.OWN_CLUSTER,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start_process
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def finish(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of the complete JOB in a format. Tests must not write to it."""

    @functools.cache
    def run(file_format: str) -> Path:
        folder = tmp_path_factory.mktemp("finished") / "digits"
        options = ["--seed", str(jobs.SEED), "--format", file_format, "--output", str(folder)]
        done = run_in_process("cgan-bulk", *jobs.JOB, *options)
        assert done.returncode == 0, done.stderr
        return folder

    return run


@pytest.fixture(scope="session")
def finished(finish: Callable[[str], Path]) -> Path:
    """The complete JOB in Parquet files. Tests must not write to it."""
    return finish("parquet")


@pytest.fixture
def job_folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the complete JOB, in the folder "digits"."""
    return shutil.copytree(finished, tmp_path / "digits")


@pytest.fixture
def job(finished: Path) -> Job:
    found = read_job(finished)
    assert found
    return found
