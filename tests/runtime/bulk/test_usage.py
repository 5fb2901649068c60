"""What cgan-bulk is asked for, and may not be."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bulk_jobs import START_BULK, Bulk, read_idx, the_error
from click.testing import Result
from folders import names_in

from cgan_runtime.bulk import run
from cgan_runtime.bulk.job import Job
from cgan_runtime.generator import SHIPPED_MODEL


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "x"], "Missing option '--count'"),
        (["--count", 5], "Missing option '--output'"),
        (["--count", 0, "--output", "x"], "0 is not in the range"),
        (["--count", 5, "--output", "x", "--workers", 0], "0 is not in the range"),
        (["--count", 5, "--output", "x", "--format", "png"], "'png' is not one of"),
        (["--count", 5, "--output", "x", "--engine", "spark"], "'spark' is not one of"),
        (
            ["--count", 5, "--output", "x", "--digit", 1, "--label", "2"],
            "--digit and --label exclude each other; give one of them",
        ),
        (
            ["--count", 5, "--output", "x", "--digits", "12", "--digit", 1],
            "--digit and --digits exclude each other; give one of them",
        ),
    ],
)
def test_wrong_usage(bulk: Bulk, tmp_path: Path, arguments: list[object], words: str) -> None:
    done = bulk(*arguments)
    assert done.returncode == 2
    assert words in the_error(done)
    assert not names_in(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "Bag"], "the model has no class 'Bag'; choose from '0', '1'"),
        (["--model", "none.onnx"], "there is no model none.onnx"),
        (["--provider", "abacus"], "no provider 'abacus' here"),
        (["--start", 2**63 - 4], "are out of range"),
        (["--output", "file/below"], "cannot read file/below/job.json: Not a directory"),
    ],
)
def test_what_cannot_be_drawn(
    bulk: Bulk, tmp_path: Path, arguments: list[object], words: str
) -> None:
    (tmp_path / "file").touch()
    done = bulk("--count", 5, "--output", "digits", *arguments)
    assert done.returncode == 1
    assert words in the_error(done)
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("module", "option", "words"),
    [
        ("pyarrow", "local", "Parquet needs pyarrow; pip install 'cgan-runtime[parquet]', or use"),
        ("ray", "ray", "--engine ray needs Ray; pip install 'cgan-runtime[ray]'"),
    ],
)
def test_an_extra_that_is_not_installed(
    call: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    option: str,
    words: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    done = call("--count", 5, "--output", "digits", "--engine", option)
    assert str(done.exception).startswith(words)
    assert not names_in(tmp_path)


def test_idx_without_pyarrow_or_ray(bulk: Bulk, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = sys.modules['ray'] = None\n"
        "from cgan_runtime.cli.bulk import main\n"
        "main()"
    )
    options = ["--count", "100", "--format", "idx", "--output", "digits"]
    subprocess.run([sys.executable, "-c", code, *options], cwd=tmp_path, check=True)
    assert len(read_idx(tmp_path / "digits")[1]) == 100


def test_too_many_classes_for_idx(
    call: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("0" * 64, 1, 0, 5, (1,), tuple(map(str, range(257))), 28, 28, "idx", 5)
    monkeypatch.setattr(run, "job_of", lambda _: (SHIPPED_MODEL, job))
    done = call("--count", 5, "--format", "idx", "--output", "digits")
    assert str(done.exception) == (
        "IDX files hold at most 256 classes, not 257; use --format parquet"
    )


@pytest.mark.uncovered
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_command_imports_nothing_heavy(option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *START_BULK[1:], option],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert "cgan_runtime" in loaded
    assert not loaded & {"numpy", "onnxruntime", "pyarrow", "ray", "multiprocessing"}
