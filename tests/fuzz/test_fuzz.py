"""Run a small part of `make fuzz`, with the same mutants every time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cgan_runtime.model_file.reading import SHIPPED_MODEL

SCRIPT = Path(__file__).with_name("fuzz.py")


def fuzz(target: str, models: Path, count: int) -> dict[str, Any]:
    """Feed mutants, check that every result is right and return the summary."""
    options = ["--count", str(count), "--seed", "8", "--models", str(models)]
    completed = subprocess.run(
        [sys.executable, SCRIPT, target, *options], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stdout[-3000:] + completed.stderr[-3000:]
    summary: dict[str, Any] = json.loads(completed.stdout)
    assert summary["mutants"] == count
    assert summary["refused"] > count / 2
    return summary


def test_hostile_onnx_files_are_rejected_or_work(onnx_file: Path, tmp_path: Path) -> None:
    for path in (onnx_file, SHIPPED_MODEL):
        shutil.copy(path, tmp_path)
    summary = fuzz("onnx", tmp_path, 80)
    assert summary["accepted"] > 0
    assert summary["caught by cgan-check"] > 0


@pytest.mark.parametrize(("target", "count"), [("model", 15), ("checkpoint", 25)])
def test_hostile_archives_are_rejected_or_work(run_dir: Path, target: str, count: int) -> None:
    fuzz(target, run_dir.parent, count)
