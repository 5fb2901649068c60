"""cgan-bulk on a real Ray."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bulk_jobs import OWN_CLUSTER, SAME_JOB, Bulk, home, shards_in, the_error
from click.testing import Result

from cgan_runtime.bulk import ray_engine
from cgan_runtime.bulk.job import read_job
from cgan_runtime.bulk.ray_engine import MOST_BEGUN, ShardActor
from cgan_runtime.errors import OutputError
from cgan_runtime.generator import SHIPPED_MODEL


def test_a_worker_on_ray_says_what_is_wrong(
    call: Callable[..., Result],
    tmp_path: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its error is the command's, with neither Ray's words nor a traceback around it."""
    monkeypatch.setattr(ray_engine, "AT_ONCE", 3)  # shards that Ray is told of together
    for name, value in (OWN_CLUSTER | home(tmp_path)).items():
        monkeypatch.setenv(name, value)
    shutil.copytree(finished, tmp_path / "digits")
    shards = shards_in(tmp_path / "digits")
    for path in shards[:5]:
        path.unlink()
    shards[4].mkdir()
    done = call(*SAME_JOB, "--output", "digits", "--engine", "ray", "--workers", 1)
    assert isinstance(done.exception, OutputError)
    assert str(done.exception) == f"{shards[4]} is no ordinary file; choose another place"
    assert capfd.readouterr() == ("", "")
    for drawn, wanted in zip(shards[:3], shards_in(finished), strict=False):
        assert drawn.read_bytes() == wanted.read_bytes()


def test_a_job_that_is_done_needs_no_cluster(bulk: Bulk, tmp_path: Path, finished: Path) -> None:
    shutil.copytree(finished, tmp_path / "digits")
    nowhere = {"RAY_ADDRESS": "127.0.0.1:1"}
    done = bulk(*SAME_JOB, "--output", "digits", "--engine", "ray", **nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("6 of them kept\n")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_cannot_be_reached(bulk: Bulk, address: str) -> None:
    options = ("--count", 5, "--output", "digits", "--engine", "ray")
    done = bulk(*options, RAY_ADDRESS=address)
    assert done.returncode == 1
    assert the_error(done).startswith("error: Ray cannot be reached or started: ")
    assert the_error(done).endswith("; look at RAY_ADDRESS and at `ray status`")


def test_a_shard_that_kills_its_workers_is_given_up(finished: Path, tmp_path: Path) -> None:
    """Ray would begin it for ever; the notes that a worker leaves behind when it dies say so."""
    shutil.copytree(finished, tmp_path / "digits")
    place = shards_in(tmp_path / "digits")[2]
    place.unlink()
    job = read_job(finished)
    assert job
    draw = ShardActor(tmp_path / "digits", job, "cpu", "run")
    notes = tmp_path / "digits" / "shards" / ".run.2"
    notes.write_bytes(b"x" * MOST_BEGUN)
    row = draw({"number": np.array([2])})
    assert (row["number"], row["kind"]) == ([2], ["WorkerError"])
    assert row["error"][0] == (
        "3 workers died drawing images 2015 to 3013; if memory is short, take fewer --workers, "
        "and run it again"
    )
    assert not place.exists()
    notes.write_bytes(b"x")
    assert draw({"number": np.array([2])})["begun"] == [2]
    assert place.read_bytes() == shards_in(finished)[2].read_bytes()
    assert not notes.exists()


def test_a_worker_that_does_not_see_the_folder(finished: Path, tmp_path: Path) -> None:
    job = read_job(finished)
    assert job
    row = ShardActor(tmp_path / "digits", job, "cpu", "run")({"number": np.array([0])})
    assert row["kind"] == ["OutputError"]
    assert row["error"][0] == (
        f"a worker does not see this job's {tmp_path / 'digits' / 'job.json'}; --output must be a "
        "folder that all machines share, at the same path"
    )


def test_a_worker_that_sees_another_model(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "digits")
    shards_in(tmp_path / "digits")[0].unlink()
    content = SHIPPED_MODEL.read_bytes().replace(b"cgan.dataset", b"cgan_dataset")
    assert len(content) == SHIPPED_MODEL.stat().st_size
    (tmp_path / "digits" / "model.onnx").write_bytes(content)
    job = read_job(finished)
    assert job
    row = ShardActor(tmp_path / "digits", job, "cpu", "run")({"number": np.array([0])})
    assert row["kind"] == ["ModelError"]
