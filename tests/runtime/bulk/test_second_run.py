"""Repeated runs of cgan-bulk with the same output folder."""

from pathlib import Path

import bulk_jobs as jobs
import pytest
from bulk_jobs import Bulk, Start
from cli_runs import names_in
from pyarrow import parquet

from cgan_runtime.bulk.job import Job, open_folder, read_job
from cgan_runtime.generator import SHIPPED_MODEL, ImageGenerator


@pytest.mark.parametrize(
    ("file_format", "kept"), [("parquet", [1, 2, 5]), ("idx", [6, 7, 8, 9, 10, 11])]
)
def test_only_incomplete_shards_are_generated_again(
    bulk: Bulk, tmp_path: Path, file_format: str, kept: list[int]
) -> None:
    options = (*jobs.JOB, "--format", file_format, "--output", "digits")
    assert bulk(*options, "--seed", jobs.SEED).returncode == 0
    files = jobs.shards_in(tmp_path / "digits")
    contents = [path.read_bytes() for path in files]
    files[0].unlink()
    files[3].write_bytes(contents[3][:-1])
    files[4].write_bytes(b"")
    inodes = [path.exists() and path.stat().st_ino for path in files]
    done = bulk(*options)  # the seed is that of the folder
    assert done.stdout == "digits  seed 7  5,000 images in 6 shards, 3 of them kept\n"
    assert [path.read_bytes() for path in files] == contents
    assert [n for n, path in enumerate(files) if path.stat().st_ino == inodes[n]] == kept


def test_job_continues_after_its_process_is_killed(
    start: Start, bulk: Bulk, tmp_path: Path, shipped: ImageGenerator
) -> None:
    folder = tmp_path / "digits"
    process = start("--workers", 2)
    jobs.wait_for(lambda: len(jobs.workers_of(process.pid)) == 2, process)
    workers = jobs.workers_of(process.pid)
    jobs.wait_for(lambda: len(jobs.shards_in(folder)) >= 3, process)
    process.kill()
    process.communicate()
    jobs.wait_for(lambda: not any(map(jobs.is_alive, workers)), None)
    inodes = {path: path.stat().st_ino for path in jobs.shards_in(folder)}
    assert 3 <= len(inodes) < jobs.LONG_SHARDS
    assert all(parquet.read_metadata(path).num_rows == jobs.LONG_SHARD_SIZE for path in inodes)
    done = bulk(*jobs.LONG_JOB)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f" in {jobs.LONG_SHARDS} shards, {len(inodes)} of them kept\n")
    assert {path: path.stat().st_ino for path in inodes} == inodes
    jobs.check_shards(folder, shipped, range(10), 0, jobs.LONG_COUNT)


@pytest.mark.parametrize(
    ("option", "value", "difference"),
    [
        ("--seed", 8, "seed 7 instead of 8"),
        ("--start", 5, "start 17 instead of 5"),
        ("--count", 5001, "count 5000 instead of 5001"),
        ("--digits", "382", "labels [3, 8, 1] instead of [3, 8, 2]"),
        ("--format", "idx", 'format "parquet" instead of "idx"'),
        ("--shard-images", 1000, "shard_images 999 instead of 1000"),
        ("--model", None, "model_sha256 "),
    ],
)
def test_folder_of_another_job_is_rejected(
    bulk: Bulk, finished: Path, tiny_model: Path, option: str, value: object, difference: str
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    line = jobs.error_of(
        bulk(*jobs.JOB, "--seed", jobs.SEED, "--output", finished, option, value or tiny_model)
    )
    assert line.startswith(f"{finished} holds another job, with {difference}")
    assert line.endswith("; choose another folder, or repeat the options of that job")
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_job_without_shards_is_replaced(bulk: Bulk, tmp_path: Path, tiny_model: Path) -> None:
    options = ("--count", 10, "--output", "digits", "--format", "idx")
    assert bulk(*options, "--model", tiny_model).returncode == 0
    for path in jobs.shards_in(tmp_path / "digits"):
        path.unlink()
    assert bulk(*options, "--seed", 9).returncode == 0
    job = read_job(tmp_path / "digits")
    assert job
    assert (job.seed, job.height) == (9, 28)
    assert (tmp_path / "digits" / "model.onnx").read_bytes() == SHIPPED_MODEL.read_bytes()


@pytest.mark.parametrize("name", ["thesis.txt", "shards"])
def test_folder_with_other_files_is_rejected(bulk: Bulk, tmp_path: Path, name: str) -> None:
    hidden = tmp_path / f".{'0' * 16}.part"  # looks like a temporary file of cgan-bulk
    for path in (tmp_path / name, hidden):
        path.write_text("years of work")
    line = jobs.error_of(bulk("--count", 10, "--output", tmp_path))
    assert line.startswith(f"{tmp_path} contains files that cgan-bulk did not write; ")
    assert names_in(tmp_path) == [hidden.name, name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((content, "is damaged; ") for content in (b"", b"{}", b"[]", b'{"version": 0}', b"\xff")),
        (b'{"version": 2}', "was written by a newer cgan-bulk; "),
    ],
)
def test_invalid_job_file_is_rejected(
    bulk: Bulk, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "job.json").write_bytes(content)
    line = jobs.error_of(bulk("--count", 10, "--output", tmp_path))
    assert line.startswith(f"{tmp_path / 'job.json'} {message}")


def test_two_runs_cannot_share_a_folder(bulk: Bulk, job_folder: Path, job: Job) -> None:
    temporary = job_folder / "shards" / f".{'0' * 16}.part"
    with open_folder(job_folder, job, SHIPPED_MODEL):
        temporary.write_text("half")
        line = jobs.error_of(bulk(*jobs.JOB, "--output", "digits"))
        assert temporary.exists()
    assert line.startswith("another cgan-bulk is writing to digits; wait for it")
    assert not temporary.exists()
