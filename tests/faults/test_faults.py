"""Run a part of `make faults`: some operations of the commands fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("faults.py")


@pytest.mark.parametrize(
    ("scenarios", "at_most"),
    [
        (["cgan-run to .png", "cgan-run to .npy"], 4),  # all of their operations
        (["cgan-export --card", "cgan-train", "cgan-train --resume"], 3),
    ],
    ids=["cgan-run", "cgan-export and cgan-train"],
)
def test_files_are_unchanged_or_complete_after_a_fault(scenarios: list[str], at_most: int) -> None:
    completed = subprocess.run(
        [sys.executable, SCRIPT, *scenarios, "--at-most", str(at_most)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout[-3000:] + completed.stderr[-1000:]
    summary = json.loads(completed.stdout)
    assert set(summary["scenarios"]) == set(scenarios)
    assert summary["faults"] == 6 * at_most * len(scenarios)
