"""cgan-bulk on a private Ray cluster."""

import itertools
import re
from pathlib import Path
from unittest.mock import MagicMock

import bulk_jobs as jobs
import pytest
from bulk_jobs import Bulk

from cgan_runtime.bulk import ray_engine
from cgan_runtime.bulk.job import Job
from cgan_runtime.bulk.shards import Worker
from cgan_runtime.errors import ModelError, OutputError, WorkerError
from cgan_runtime.model_file.reading import SHIPPED_MODEL


def test_error_of_a_worker_is_the_error_of_the_command(
    bulk: Bulk,
    job_folder: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ray_engine, "CHUNK_SHARDS", 3)
    shards = jobs.shards_in(job_folder)
    for path in shards[:5]:
        path.unlink()
    shards[4].mkdir()
    options = ("--output", "digits", "--engine", "ray", "--workers", 1)
    done = bulk(*jobs.JOB, *options, **jobs.OWN_CLUSTER)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(jobs.invalid_note(4013, 5011) + "error: ")
    assert f"{shards[4]} is not a regular file; " in done.stderr
    assert capfd.readouterr() == ("", "")  # Ray prints nothing
    for path, expected in zip(shards[:3], jobs.shards_in(finished), strict=False):
        assert path.read_bytes() == expected.read_bytes()


def test_complete_job_needs_no_cluster(bulk: Bulk, job_folder: Path) -> None:
    options = (*jobs.JOB, "--output", "digits", "--engine", "ray")
    done = bulk(*options, RAY_ADDRESS="127.0.0.1:1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("6 of them kept\n")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_unreachable_cluster_is_reported(bulk: Bulk, address: str) -> None:
    options = ("--count", 5, "--output", "digits", "--engine", "ray")
    line = jobs.error_of(bulk(*options, RAY_ADDRESS=address))
    assert line.startswith("cannot reach or start Ray: ")
    assert line.endswith("; check RAY_ADDRESS and `ray status`")


@pytest.mark.parametrize("kills", [1, 2, 3])
def test_shard_of_a_killed_worker_gets_three_attempts(job: Job, kills: int) -> None:
    """This test replaces Ray, which needs many seconds to start workers."""
    ray, killed = MagicMock(), type("ActorDiedError", (Exception,), {})
    ray.exceptions.RayActorError = ray.exceptions.OutOfMemoryError = killed
    ray.exceptions.RayTaskError = OutputError
    actor_class = ray.remote.return_value.return_value
    actor_class.remote.return_value.generate.remote.side_effect = itertools.count()
    ray.wait.side_effect = lambda tasks: (tasks[:1], tasks[1:])
    ray.get.side_effect = [None, *[killed] * kills, None]
    messages = ray_engine._generate_chunk(ray, Path("digits"), job, [1, 2], 1, "cpu")
    if kills < 3:
        assert list(messages) == [1, *[None] * kills, 2]
        assert actor_class.remote.call_count == 1 + kills
    else:
        assert list(itertools.islice(messages, 3)) == [1, None, None]
        with pytest.raises(WorkerError, match="3 workers died generating images 2015 to 3013; if"):
            next(messages)


def test_worker_checks_the_folder_and_its_model(tmp_path: Path, job_folder: Path, job: Job) -> None:
    expected = f"a worker does not see this job's {tmp_path / 'job.json'}; set --output to a folder"
    with pytest.raises(OutputError, match=re.escape(expected)):
        Worker(tmp_path, job, "cpu").generate(0)
    content = SHIPPED_MODEL.read_bytes().replace(b"cgan.dataset", b"cgan_dataset")
    (job_folder / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError):
        Worker(job_folder, job, "cpu").generate(0)
