"""Failures of workers and files, each with its own cause and remedy."""

import errno
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NoReturn
from unittest.mock import MagicMock

import bulk_jobs as jobs
import pytest

from cgan_runtime.bulk import local_engine, ray_engine, shards
from cgan_runtime.bulk.job import Job, read_job
from cgan_runtime.errors import CganError, OutputError, WorkerError

TOO_MANY = "cannot start 2 workers (.*); use fewer --workers, or raise the limits of processes"


def generate(folder: Path, job: Job) -> None:
    list(local_engine.generate_shards(folder, job, [0], 2, "cpu", lambda: None))


def fail_with(error: Exception) -> MagicMock:
    return MagicMock(side_effect=error)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EROFS, "Read-only file system"), "semaphores in /dev/shm (.*); mount it"),
        (ImportError("No module named '_multiprocessing'"), "semaphores in /dev/shm (.*); mount"),
        (OSError(errno.EMFILE, "Too many open files"), TOO_MANY),
    ],
)
def test_missing_semaphores_and_limits_are_told_apart(
    job_folder: Path, job: Job, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    monkeypatch.setattr(local_engine, "SPAWN", MagicMock(Event=fail_with(error)))
    with pytest.raises(WorkerError, match=message.replace("(", r"\(").replace(")", r"\)")):
        generate(job_folder, job)


@pytest.mark.parametrize(
    "error",
    [BlockingIOError(errno.EAGAIN, "Try again"), RuntimeError("can't start new thread")],
)
def test_worker_that_cannot_start_is_reported(
    job_folder: Path, job: Job, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(ProcessPoolExecutor, "submit", fail_with(error))
    with pytest.raises(WorkerError, match=TOO_MANY.replace("(", r"\(").replace(")", r"\)")):
        generate(job_folder, job)


def test_exception_of_a_signal_handler_passes_through(
    job_folder: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise TimeoutError("alarm")

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupt)
    with pytest.raises(TimeoutError, match="alarm"):
        generate(job_folder, job)
    monkeypatch.setattr(shards, "_hash_file", interrupt)
    with pytest.raises(TimeoutError, match="alarm"):
        shards.is_complete(job_folder, job, job.shard(0))


def test_worker_without_threads_is_not_reported_as_killed(
    job_folder: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_engine, "prepare_signals", lambda: None)
    monkeypatch.setattr(local_engine, "_workers", [])
    monkeypatch.setattr(threading.Thread, "start", fail_with(RuntimeError("no new thread")))
    local_engine._start_worker(job_folder, job, "cpu", MagicMock())
    with pytest.raises(WorkerError, match=r"a worker cannot start a thread \(no new thread\); use"):
        local_engine._generate(0)


def test_shard_that_cannot_be_read_is_reported(
    job_folder: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(errno.EIO, "Input/output error", "digits/shards/0")
    monkeypatch.setattr(shards, "_hash_file", fail_with(error))
    with pytest.raises(OutputError, match="cannot read digits/shards/0: Input/output error; "):
        shards.is_complete(job_folder, job, job.shard(0))


@pytest.mark.parametrize("name", ["job.json", "checksums/000000000017.json"])
def test_pipes_in_place_of_descriptions_do_not_block(job_folder: Path, job: Job, name: str) -> None:
    (job_folder / name).unlink()
    os.mkfifo(job_folder / name)
    if name == "job.json":
        with pytest.raises(OutputError, match="is not a regular file; choose another folder"):
            read_job(job_folder)
    else:
        assert not shards.is_complete(job_folder, job, job.shard(0))


def test_deeply_nested_descriptions_are_damaged(job_folder: Path, job: Job) -> None:
    for name in ("job.json", "checksums/000000000017.json"):
        (job_folder / name).write_text("[" * 100_000)
    assert not shards.is_complete(job_folder, job, job.shard(0))
    with pytest.raises(OutputError, match="is damaged; choose another folder"):
        read_job(job_folder)


def test_only_a_closed_connection_is_reported_as_a_dead_ray() -> None:
    connection = MagicMock()
    connection.recv.side_effect = EOFError
    with pytest.raises(WorkerError, match="Ray died unexpectedly"):
        ray_engine._receive_number(connection, lambda: None)
    connection.recv.side_effect = [None, TimeoutError("alarm")]
    with pytest.raises(OSError, match="stderr is closed"):
        ray_engine._receive_number(connection, fail_with(OSError(9, "stderr is closed")))
    with pytest.raises(TimeoutError, match="alarm"):
        ray_engine._receive_number(connection, lambda: None)


def test_ray_that_cannot_start_here_is_not_blamed_on_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "")
    ray = MagicMock()
    ray.init.side_effect = RuntimeError
    monkeypatch.setattr(ray_engine, "import_module", lambda _: ray)
    cluster = ray_engine._cluster(2)
    with pytest.raises(CganError, match="Ray: RuntimeError; look at its logs in"), cluster:
        pass
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert jobs.OWN_CLUSTER["RAY_ADDRESS"] == ray.init.call_args.args[0]
