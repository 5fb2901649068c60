"""A slice of `make faults`: what it does to every operation, here some of them get."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("faults.py")


@pytest.mark.parametrize(
    ("scenarios", "every", "least"),
    [
        (["cgan-run to .png", "cgan-run to .npy"], 1, 60),
        (["cgan-export --card"], 9, 15),
        (["cgan-train", "cgan-train --resume"], 23, 36),
    ],
    ids=["cgan-run", "cgan-export", "cgan-train"],
)
def test_files_are_old_or_new_whatever_fails(scenarios: list[str], every: int, least: int) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, *scenarios, "--every", str(every)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    summary = json.loads(done.stdout)
    assert summary["faults"] >= least
    assert set(summary["scenarios"]) == set(scenarios)
