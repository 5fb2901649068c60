"""A second run of cgan-bulk into a folder."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bulk_jobs import (
    IMAGES,
    SAME_JOB,
    SEED,
    SHARDS,
    Bulk,
    Start,
    is_alive,
    of_one_process,
    read_parquet,
    shards_in,
    the_error,
    wait_for,
    workers_of,
)
from click.testing import Result
from folders import names_in
from pyarrow import parquet

from cgan_runtime.bulk.job import opened, read_job
from cgan_runtime.errors import OutputError
from cgan_runtime.generator import SHIPPED_MODEL, ImageGenerator


def test_shards_that_are_whole_are_kept_and_broken_ones_drawn(
    call: Callable[..., Result], tmp_path: Path, finished: Path
) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(finished, folder)
    shards = shards_in(folder)
    contents = {path: path.read_bytes() for path in shards}
    shards[1].unlink()
    shards[3].write_bytes(contents[shards[3]][:-100])
    shards[4].write_bytes(b"")
    before = {path: path.stat().st_ino for path in shards if path.exists()}
    done = call(*SAME_JOB, "--output", "digits")  # the seed is the folder's
    assert done.stdout == "digits  seed 7  5,000 images in 6 shards, 3 of them kept\n"
    assert {path: path.read_bytes() for path in shards_in(folder)} == contents
    kept = [path for path in shards if before.get(path) == path.stat().st_ino]
    assert kept == [shards[0], shards[2], shards[5]]
    done = call(*SAME_JOB, "--output", "digits")
    assert done.stdout == "digits  seed 7  5,000 images in 6 shards, 6 of them kept\n"


def test_a_pair_of_idx_files_is_whole_or_drawn_again(bulk: Bulk, tmp_path: Path) -> None:
    options = (*SAME_JOB, "--seed", SEED, "--format", "idx", "--output", "digits")
    assert bulk(*options).returncode == 0
    shards = shards_in(tmp_path / "digits")
    contents = {path: path.read_bytes() for path in shards}
    shards[0].unlink()  # images
    shards[3].unlink()  # labels
    shards[4].write_bytes(contents[shards[4]][:-1])
    assert bulk(*options).stdout.endswith(" 6 shards, 3 of them kept\n")
    assert {path: path.read_bytes() for path in shards_in(tmp_path / "digits")} == contents


def test_a_killed_run_leaves_whole_shards_and_the_next_goes_on(
    start: Start, bulk: Bulk, tmp_path: Path, shipped: ImageGenerator
) -> None:
    folder = tmp_path / "digits"
    process = start("--workers", 2, "--count", SHARDS * IMAGES)
    wait_for(lambda: len(workers_of(process.pid)) == 2, process)
    workers = workers_of(process.pid)
    wait_for(lambda: len(shards_in(folder)) >= 3, process)
    process.kill()
    process.communicate()
    until = time.monotonic() + 20
    while any(map(is_alive, workers)):  # nobody waits for them any more
        assert time.monotonic() < until
        time.sleep(0.05)
    before = {path: path.stat().st_ino for path in shards_in(folder)}
    assert 3 <= len(before) < SHARDS
    for path in before:
        assert parquet.read_metadata(path).num_rows == IMAGES
    done = bulk(
        *("--count", SHARDS * IMAGES, "--shard-images", IMAGES, "--output", "digits")
    )  # the seed is the folder's
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f" images in {SHARDS} shards, {len(before)} of them kept\n")
    assert names_in(folder / "shards") == [path.name for path in shards_in(folder)]
    assert {path: path.stat().st_ino for path in before} == before
    found = read_parquet(folder)
    wanted, labels = of_one_process(shipped, tuple(range(10)), SEED, 0, SHARDS * IMAGES)
    np.testing.assert_array_equal(found[0], wanted)
    assert found[1:] == (labels, {SEED}, list(range(SHARDS * IMAGES)))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--seed", 8, "seed 7, not 8"),
        ("--start", 5, "start 17, not 5"),
        ("--count", 5001, "count 5000, not 5001"),
        ("--digits", "382", "labels [3, 8, 1], not [3, 8, 2]"),
        ("--format", "idx", 'format "parquet", not "idx"'),
        ("--shard-images", 1000, "shard_images 999, not 1000"),
    ],
)
def test_another_job_is_refused(
    call: Callable[..., Result], finished: Path, option: str, value: object, words: str
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    done = call(*SAME_JOB, "--seed", SEED, "--output", finished, option, value)
    assert isinstance(done.exception, OutputError)
    assert str(done.exception) == (
        f"{finished} holds another job, with {words}; choose another folder, or give it the "
        "options it was begun with"
    )
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_another_model_is_refused(
    call: Callable[..., Result], finished: Path, tiny_model: Path
) -> None:
    done = call(*SAME_JOB, "--output", finished, "--model", tiny_model)
    assert str(done.exception).startswith(f"{finished} holds another job, with model_sha256 ")


def test_a_job_of_which_nothing_was_drawn_gives_way(
    call: Callable[..., Result], tmp_path: Path, tiny_model: Path
) -> None:
    options = ("--count", 10, "--output", "digits", "--format", "idx")
    assert call(*options, "--model", tiny_model).exit_code == 0
    for path in shards_in(tmp_path / "digits"):
        path.unlink()
    assert call(*options, "--seed", 9).exit_code == 0
    job = read_job(tmp_path / "digits")
    assert job
    assert (job.seed, job.height) == (9, 28)
    assert (tmp_path / "digits" / "model.onnx").read_bytes() == SHIPPED_MODEL.read_bytes()


@pytest.mark.parametrize("content", ["thesis.txt", "shards"])
def test_a_folder_of_other_things_is_left_alone(
    call: Callable[..., Result], tmp_path: Path, content: str
) -> None:
    hidden = tmp_path / f".{'0' * 16}.part"  # as our own would be named
    for path in (tmp_path / content, hidden):
        path.write_text("years of work")
    done = call("--count", 10, "--output", tmp_path)
    assert str(done.exception) == (
        f"{tmp_path} is neither empty nor of cgan-bulk; choose another folder"
    )
    assert names_in(tmp_path) == [hidden.name, content]


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"version": "x"}', "\udcff"])
def test_a_damaged_job(call: Callable[..., Result], tmp_path: Path, content: str) -> None:
    (tmp_path / "job.json").write_bytes(content.encode(errors="surrogateescape"))
    done = call("--count", 10, "--output", tmp_path)
    assert str(done.exception) == f"{tmp_path / 'job.json'} is damaged; choose another folder"


def test_a_job_of_a_newer_release(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"version": 2}')
    done = call("--count", 10, "--output", tmp_path)
    assert str(done.exception) == (
        f"{tmp_path / 'job.json'} is of a newer cgan-bulk; upgrade cgan-runtime"
    )


def test_two_runs_in_one_folder(bulk: Bulk, tmp_path: Path, finished: Path) -> None:
    shutil.copytree(finished, tmp_path / "digits")
    job = read_job(finished)
    assert job
    half = tmp_path / "digits" / "shards" / f".{'0' * 16}.part"
    with opened(tmp_path / "digits", job, SHIPPED_MODEL):
        half.write_text("half")
        done = bulk(*SAME_JOB, "--output", "digits")
        assert half.exists()
    assert done.returncode == 1
    assert the_error(done) == (
        "error: another cgan-bulk is at work in digits; wait for it, or choose another folder"
    )
    assert not half.exists()
