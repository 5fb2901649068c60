"""Repeated runs of cgan-bulk with the same output folder."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import bulk_jobs as jobs
import pytest
from bulk_jobs import Bulk, Start
from cli_runs import names_in
from pyarrow import parquet

from cgan_runtime.bulk.job import Job, open_job_folder, read_job
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.reading import SHIPPED_MODEL


@pytest.fixture
def complete_job(finish: Callable[[str], Path], tmp_path: Path, file_format: str) -> list[object]:
    """The options of a complete job in the folder "digits", without its seed."""
    shutil.copytree(finish(file_format), tmp_path / "digits")
    return [*jobs.JOB, "--format", file_format, "--output", "digits"]


@pytest.mark.parametrize("file_format", ["parquet", "idx"])
def test_only_incomplete_shards_are_generated_again(
    bulk: Bulk, tmp_path: Path, complete_job: list[object]
) -> None:
    files = jobs.shards_in(tmp_path / "digits")
    contents = {path: path.read_bytes() for path in files}
    by_shard = [sorted(tmp_path.glob(f"digits/shards/{17 + 999 * n:012}*")) for n in range(6)]
    for path in by_shard[0]:
        path.unlink()
    inodes = {path: path.stat().st_ino for path in files if path.exists()}
    by_shard[3][-1].write_bytes(contents[by_shard[3][-1]][:-1])
    by_shard[4][0].write_bytes(b"")
    done = bulk(*complete_job)  # job.json has the seed
    assert done.stdout == "digits  seed 7  5,001 images in 6 shards, 3 of them kept\n"
    assert done.stderr == jobs.invalid_note(3014, 4012) + jobs.invalid_note(4013, 5011)
    assert {path: path.read_bytes() for path in files} == contents
    kept = {path for path, inode in inodes.items() if path.stat().st_ino == inode}
    assert kept == {*by_shard[1], *by_shard[2], *by_shard[5]}


def _flip_a_byte(shards: list[Path], _: Path) -> None:
    content = bytearray(shards[-1].read_bytes())
    content[len(content) // 2] ^= 1
    shards[-1].write_bytes(content)


def _exchange(shards: list[Path], _: Path) -> None:
    for path in shards:
        path.write_bytes(path.with_name(path.name.replace("3014", "2015")).read_bytes())


def _delete_checksums(_: list[Path], checksums: Path) -> None:
    checksums.unlink()


def _damage_checksums(_: list[Path], checksums: Path) -> None:
    checksums.write_bytes(checksums.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("file_format", "damage"),
    [
        ("parquet", _flip_a_byte),
        ("idx", _flip_a_byte),
        ("parquet", _exchange),
        ("parquet", _delete_checksums),
        ("parquet", _damage_checksums),
    ],
)
def test_damaged_shard_is_reported_and_generated_again(
    bulk: Bulk,
    tmp_path: Path,
    complete_job: list[object],
    damage: Callable[[list[Path], Path], None],
) -> None:
    files = {path: path.read_bytes() for path in sorted(tmp_path.glob("digits/*/0*"))}
    damage(sorted(tmp_path.glob("digits/shards/*3014*")), *tmp_path.glob("digits/checksums/*3014*"))
    done = bulk(*complete_job)
    assert done.stdout.endswith(" 5 of them kept\n")
    assert done.stderr == jobs.invalid_note(3014, 4012)
    assert {path: path.read_bytes() for path in files} == files


def test_pipe_in_place_of_a_shard_is_rejected(bulk: Bulk, job_folder: Path) -> None:
    shard = jobs.shards_in(job_folder)[1]
    shard.unlink()
    os.mkfifo(shard)
    done = bulk(*jobs.JOB, "--output", "digits")
    assert done.stderr.endswith("000000001016.parquet is not a regular file; choose another path\n")


@pytest.mark.parametrize("option", ["--seed", "--start", "--model"])
def test_shard_of_another_job_is_reported_and_generated_again(
    bulk: Bulk, job_folder: Path, finished: Path, tmp_path: Path, tiny_model: Path, option: str
) -> None:
    """The shard comes with its own checksums."""
    values = {"--seed": 8, "--start": jobs.START + 999, "--model": tiny_model}
    options = [*jobs.JOB, "--seed", jobs.SEED, option, values[option], "--output", "other"]
    assert bulk(*options).returncode == 0
    for folder in ("shards", "checksums"):
        (path,) = (tmp_path / "other" / folder).glob("*1016.*")
        (job_folder / folder / path.name).write_bytes(path.read_bytes())
    done = bulk(*jobs.JOB, "--output", "digits")
    assert done.stderr == jobs.invalid_note(1016, 2014)
    for path in jobs.shards_in(finished):
        assert (job_folder / "shards" / path.name).read_bytes() == path.read_bytes()


def test_links_are_replaced_and_their_targets_kept(
    bulk: Bulk, job_folder: Path, finished: Path, tmp_path: Path
) -> None:
    shard = jobs.shards_in(job_folder)[2]
    links = [shard, job_folder / "checksums" / f"{shard.stem}.json", job_folder / "model.onnx"]
    for number, link in enumerate(links):
        target = tmp_path / f"{number}"
        target.write_text("mine")
        link.unlink()
        link.symlink_to(target)
    assert bulk(*jobs.JOB, "--output", "digits").returncode == 0
    for number, link in enumerate(links):
        assert (tmp_path / f"{number}").read_text() == "mine"
        assert link.read_bytes() == (finished / link.relative_to(job_folder)).read_bytes()


@pytest.mark.parametrize("linked", [False, True])
def test_foreign_files_are_kept(bulk: Bulk, job_folder: Path, tmp_path: Path, linked: bool) -> None:
    """The files are named like temporary files, and the folder may be a link."""
    if linked:
        (job_folder / "shards").rename(tmp_path / "disk")
        (job_folder / "shards").symlink_to(tmp_path / "disk")
    (tmp_path / "thesis").write_text("years of work")
    names = [f".{16 * '0'}.part", ".my-very-own-file.part", ".notes"]
    files = [folder / name for folder in (job_folder, job_folder / "shards") for name in names]
    for path in files:
        path.write_text("mine")
    (job_folder / "shards" / ".ffffffffffffffff.part").symlink_to(tmp_path / "thesis")
    jobs.shards_in(job_folder)[1].unlink()
    done = bulk(*jobs.JOB, "--output", "digits")
    assert done.stdout.endswith(" 5 of them kept\n")
    assert all(path.read_text() == "mine" for path in files)
    assert (job_folder / "shards" / ".ffffffffffffffff.part").is_symlink()
    assert (tmp_path / "thesis").read_text() == "years of work"


def test_copied_model_is_the_model_that_was_validated(
    bulk: Bulk, tmp_path: Path, finished: Path
) -> None:
    """A pipe can be read once only."""
    pipe = tmp_path / "model.onnx"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(SHIPPED_MODEL.read_bytes(),))
    writer.start()
    done = bulk(*jobs.JOB, "--seed", jobs.SEED, "--output", "digits", "--model", pipe)
    writer.join()
    assert (done.returncode, done.stderr) == (0, "")
    for path in jobs.shards_in(finished):
        assert (tmp_path / "digits" / "shards" / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "digits" / "model.onnx").read_bytes() == SHIPPED_MODEL.read_bytes()


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
    complete = [path.stem for path in (folder / "checksums").glob("[0-9]*")]
    inodes = {path: path.stat().st_ino for path in jobs.shards_in(folder) if path.stem in complete}
    assert 2 <= len(inodes) < jobs.LONG_SHARDS
    assert all(parquet.read_metadata(path).num_rows == jobs.LONG_SHARD_SIZE for path in inodes)
    done = bulk(*jobs.LONG_JOB)
    assert done.returncode == 0
    assert done.stdout.endswith(f" in {jobs.LONG_SHARDS} shards, {len(inodes)} of them kept\n")
    assert {path: path.stat().st_ino for path in inodes} == inodes
    jobs.check_shards(folder, shipped, range(10), 0, jobs.LONG_COUNT)


@pytest.mark.parametrize(
    ("option", "value", "difference"),
    [
        ("--seed", 8, "seed 7 instead of 8"),
        ("--start", 5, "start 17 instead of 5"),
        ("--count", 1668, "count 1667 instead of 1668"),
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
    with open_job_folder(job_folder, job, SHIPPED_MODEL.read_bytes()):
        line = jobs.error_of(bulk(*jobs.JOB, "--output", "digits"))
    assert line.startswith("another cgan-bulk is writing to digits; wait for it")
