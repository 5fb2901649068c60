"""cgan-bulk on a Ray cluster of its own."""

from pathlib import Path

import bulk_jobs as jobs
import numpy as np
import pytest
from bulk_jobs import Bulk

from cgan_runtime.bulk import ray_engine
from cgan_runtime.bulk.job import Job
from cgan_runtime.bulk.ray_engine import MAX_ATTEMPTS, ShardActor
from cgan_runtime.generator import SHIPPED_MODEL


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
    line = jobs.error_of(bulk(*jobs.JOB, *options, **jobs.OWN_CLUSTER))
    assert line.startswith(f"{shards[4]} is not a regular file; ")
    assert capfd.readouterr() == ("", "")  # Ray prints nothing
    for path, expected in zip(shards[:3], jobs.shards_in(finished), strict=False):
        assert path.read_bytes() == expected.read_bytes()


def test_complete_job_needs_no_cluster(bulk: Bulk, job_folder: Path) -> None:
    options = (*jobs.JOB, "--output", "digits", "--engine", "ray")
    done = bulk(*options, RAY_ADDRESS="127.0.0.1:1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("6 of them kept\n")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_unreachable_cluster(bulk: Bulk, address: str) -> None:
    options = ("--count", 5, "--output", "digits", "--engine", "ray")
    line = jobs.error_of(bulk(*options, RAY_ADDRESS=address))
    assert line.startswith("cannot reach or start Ray: ")
    assert line.endswith("; check RAY_ADDRESS and `ray status`")


def test_shard_is_abandoned_after_three_attempts(job_folder: Path, job: Job) -> None:
    """Ray itself would retry without limit. A killed worker leaves its attempt counter behind."""
    path, counter = jobs.shards_in(job_folder)[2], job_folder / "shards" / ".run.2"
    expected = path.read_bytes()
    path.unlink()
    actor = ShardActor(job_folder, job, "cpu", "run")
    counter.write_bytes(b"x" * MAX_ATTEMPTS)
    result = actor({"number": np.array([2])})
    assert (result["number"], result["kind"]) == ([2], ["WorkerError"])
    assert result["error"][0].startswith("3 workers died generating images 2015 to 3013; if memory")
    assert not path.exists()
    counter.write_bytes(b"x")
    assert actor({"number": np.array([2])})["attempts"] == [2]
    assert path.read_bytes() == expected
    assert not counter.exists()


def test_worker_checks_the_folder_and_its_model(tmp_path: Path, job_folder: Path, job: Job) -> None:
    batch = {"number": np.array([0])}
    result = ShardActor(tmp_path, job, "cpu", "run")(batch)
    assert result["kind"] == ["OutputError"]
    expected = f"a worker does not see this job's {tmp_path / 'job.json'}; set --output to a folder"
    assert result["error"][0].startswith(expected)
    jobs.shards_in(job_folder)[0].unlink()
    content = SHIPPED_MODEL.read_bytes().replace(b"cgan.dataset", b"cgan_dataset")
    (job_folder / "model.onnx").write_bytes(content)
    assert ShardActor(job_folder, job, "cpu", "run")(batch)["kind"] == ["ModelError"]
