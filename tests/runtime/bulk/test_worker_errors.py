"""Error messages about failed workers and damaged files."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn
from unittest.mock import MagicMock

import bulk_jobs as jobs
import pytest

from cgan_runtime.bulk import local_engine, ray_engine, shards
from cgan_runtime.bulk.job import Job, read_job
from cgan_runtime.errors import CganError, OutputError, WorkerError


def generate(folder: Path, job: Job, numbers: Sequence[int] = (0,)) -> None:
    list(local_engine.generate_shards(folder, job, numbers, 2, "cpu", lambda: None))


def fail_with(error: Exception) -> MagicMock:
    return MagicMock(side_effect=error)


def test_worker_that_cannot_start_is_reported(
    job_folder: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = BlockingIOError(errno.EAGAIN, "Try again")
    monkeypatch.setattr(local_engine.SPAWN.Process, "start", fail_with(error))
    with pytest.raises(WorkerError, match=r"cannot start a worker .*; raise the limits"):
        generate(job_folder, job)


def test_fewer_workers_generate_the_shards_where_the_system_starts_no_more(
    job_folder: Path, job: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = local_engine.SPAWN.Process.start
    started: list[BaseProcess] = []

    def start_one(process: BaseProcess) -> None:
        if started:
            raise BlockingIOError(errno.EAGAIN, "Try again")
        started.append(process)
        start(process)

    monkeypatch.setattr(local_engine.SPAWN.Process, "start", start_one)
    shutil.rmtree(job_folder / "checksums")
    (job_folder / "checksums").mkdir()
    generate(job_folder, job, range(job.num_shards))
    assert all(
        shards.is_complete(job_folder, job, job.shard(each)) for each in range(job.num_shards)
    )
    assert "continuing with 1 of 2 workers: cannot start a worker" in caplog.text


def test_exception_of_a_signal_handler_passes_through(
    job_folder: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> NoReturn:
        raise TimeoutError("alarm")

    monkeypatch.setattr(local_engine.SPAWN, "Process", interrupt)
    with pytest.raises(TimeoutError, match="alarm"):
        generate(job_folder, job)
    monkeypatch.setattr(shards, "_hash_file", interrupt)
    with pytest.raises(TimeoutError, match="alarm"):
        shards.is_complete(job_folder, job, job.shard(0))


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="changes the user id")
# The command, multiprocessing's resource tracker, a worker and a reserve need 6.
@pytest.mark.parametrize("limit", [1, 6])
def test_a_limit_of_processes_is_reported_unless_a_worker_can_start(
    tmp_path: Path, limit: int
) -> None:
    """A user without other processes runs the command."""
    tmp_path.chmod(0o777)
    limits = "resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit)); "
    user = 2**31 - 10_000 - os.getpid()
    words = ["setpriv", f"--reuid={user}", "--inh-caps=-all,+dac_override,+dac_read_search"]
    words += ["--ambient-caps=-all,+dac_override,+dac_read_search"]
    words += ["--bounding-set=-sys_resource,-sys_admin", sys.executable, "-c"]
    words += [f"import resource; limit = {limit}; {limits}{jobs.START_BULK}", *jobs.JOB]
    words += ["--format", "idx", "--output", str(tmp_path / "digits"), "--workers", "3"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    if limit == 1:
        assert "cannot start a worker" in jobs.error_of(done)
    else:
        assert done.returncode == 0, done.stderr
        assert done.stderr == "" or done.stderr.startswith("continuing with ")


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


def test_only_a_closed_connection_means_that_ray_died() -> None:
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
