"""make test-gpu is for machines with CUDA; elsewhere it says so."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "gpu" / "pipeline.py"


def test_it_says_plainly_that_there_is_no_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one: make test-gpu")
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: torch finds no CUDA device here; run this on a machine with one\n"
    )
