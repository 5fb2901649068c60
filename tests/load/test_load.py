"""A short run of `make load`."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.py")


def test_results_are_right_under_load() -> None:
    options = ("--minutes", "0.02", "--threads", "16", "--commands", "4", "--every", "192")
    done = subprocess.run(
        [sys.executable, SCRIPT, *options], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert len(summary["one generator"]["calls"]) == 8
    assert summary["one generator"]["images"] > 1000
    calls = summary["signals and forks"]["calls"]
    assert calls.keys() == {"main thread", "thread", "signal handler", "child"}
    assert summary["at once"] == {"commands": 4, "wrong": []}
    limits = summary["megabytes of address space"]
    assert limits["64"] == "refused"
    assert limits["448"] == "generated"
