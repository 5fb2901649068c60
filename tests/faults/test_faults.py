"""Run a part of `make faults`: only some operations of some commands fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("faults.py")


@pytest.mark.parametrize(
    ("scenarios", "every", "min_faults"),
    [
        (["cgan-run to .png", "cgan-run to .npy"], 1, 48),
        (["cgan-export --card"], 9, 15),
        (["cgan-train", "cgan-train --resume"], 31, 30),
    ],
    ids=["cgan-run", "cgan-export", "cgan-train"],
)
def test_files_are_unchanged_or_complete_after_a_fault(
    scenarios: list[str], every: int, min_faults: int
) -> None:
    completed = subprocess.run(
        [sys.executable, SCRIPT, *scenarios, "--every", str(every)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout[-3000:] + completed.stderr[-1000:]
    summary = json.loads(completed.stdout)
    assert summary["faults"] >= min_faults
    assert set(summary["scenarios"]) == set(scenarios)
