"""A slice of `make load`: two seconds of it, and fewer commands."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.py")


def test_answers_are_right_under_load() -> None:
    options = ("--minutes", "0.035", "--threads", "16", "--commands", "12", "--every", "96")
    done = subprocess.run(
        [sys.executable, SCRIPT, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert len(summary["one generator"]["calls"]) == 8  # kinds, all of them
    assert summary["one generator"]["images"] > 1000
    assert summary["at once"] == {"commands": 12, "wrong": []}
    found = summary["megabytes of address space"]
    assert found["64"] == found["160"] == "refused"
    assert found["256"] == found["352"] == found["448"] == "drawn"
