"""A slice of `make fuzz`, the same each time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cgan_runtime.generator import SHIPPED_MODEL

FUZZ = Path(__file__).parent


@pytest.fixture(scope="module")
def onnx_files(onnx_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    for path in (onnx_file, SHIPPED_MODEL):
        shutil.copy(path, folder)
    return folder


def fuzzed(target: str, models: Path, count: int) -> dict[str, Any]:
    """Return the summary of so many mutants, none of which may do what it must not."""
    options = ["--count", str(count), "--seed", "8", "--models", str(models)]
    done = subprocess.run(
        [sys.executable, str(FUZZ / "fuzz.py"), target, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["mutants"] == count
    assert summary["refused"] > count / 2
    return summary


def test_hostile_onnx_files(onnx_files: Path) -> None:
    summary = fuzzed("onnx", onnx_files, 120)
    assert summary["accepted"] > 0  # some are sound, and drawn with
    assert summary["told by cgan-check"] > 0  # and some are not what they promise


def test_hostile_models(run_dir: Path) -> None:
    fuzzed("model", run_dir.parent, 25)


def test_hostile_checkpoints(run_dir: Path) -> None:
    fuzzed("checkpoint", run_dir.parent, 40)
