"""Options, missing packages and small disks that cgan-bulk reports."""

import sys
from pathlib import Path
from types import SimpleNamespace

import bulk_jobs as jobs
import pytest
from bulk_jobs import Bulk
from cli_runs import names_in

from cgan_runtime.bulk.job import Job
from cgan_runtime.bulk.shards import check_format
from cgan_runtime.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", 0], "--count must be a whole number of 1 or more, got '0'"),
        (["--workers", 0], "--workers must be a whole number from 1 to 100000, got '0'"),
        (
            ["--digit", "six"],
            "--digit must be a whole number from 0 to 9, got 'six'; write --digit 6",
        ),
        ([9], "cgan-bulk takes only options, got '9'; write --digit 9"),
        (["--digit", 1, "--label", "2"], "--digit and --label cannot be combined; give only"),
    ],
)
def test_wrong_usage_exits_with_2_and_writes_nothing(
    bulk: Bulk, tmp_path: Path, arguments: list[object], message: str
) -> None:
    done = bulk("--count", 5, "--output", "x", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert not names_in(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "Bag"], "the model has no class 'Bag'; "),
        (["--model", "none.onnx"], "there is no model none.onnx"),
        (["--expect-sha256", "0" * 64], "is not the expected file: its SHA-256 is "),
        (["--provider", "abacus"], "'abacus'"),
        (["--start", 2**63 - 4], "are out of range"),
        (["--output", "file/below"], "cannot read file/below/job.json: Not a directory"),
    ],
)
def test_failed_requests_give_one_line_and_write_nothing(
    bulk: Bulk, tmp_path: Path, arguments: list[object], message: str
) -> None:
    (tmp_path / "file").touch()
    assert message in jobs.error_of(bulk("--count", 5, "--output", "digits", *arguments))
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("file_format", ["parquet", "idx"])
def test_a_job_that_does_not_fit_the_disk_is_rejected(
    bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    line = ("--count", 1000, "--format", file_format, "--output", "digits", "--workers", 1)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    assert jobs.error_of(bulk(*line)).startswith("cannot write digits: it needs at least ")
    assert not names_in(tmp_path)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert bulk(*line).returncode == 0
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    assert bulk(*line).stdout.endswith(" 1 of them kept\n")  # its shards need no more space


def test_only_parquet_and_ray_need_more_packages(
    bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    options = ("--count", 100, "--output", "digits")
    line = jobs.error_of(bulk(*options))
    assert line.startswith("--format parquet needs pyarrow; pip install 'cgan-runtime[parquet]'")
    line = jobs.error_of(bulk(*options, "--format", "idx", "--engine", "ray"))
    assert line.startswith("--engine ray needs Ray; pip install 'cgan-runtime[ray]'")
    assert not names_in(tmp_path)
    assert bulk(*options, "--format", "idx").returncode == 0
    assert len(jobs.shards_in(tmp_path / "digits")) == 2


def test_too_many_classes_for_idx_are_rejected() -> None:
    job = Job("0" * 64, 1, 0, 5, (1,), tuple(map(str, range(257))), 1, 28, 28, "idx", 5)
    with pytest.raises(
        InputError, match=r"at most 256 classes, got 5 images of 257 classes; .* --format parquet"
    ):
        check_format(job)
