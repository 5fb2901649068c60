import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "gpu" / "pipeline.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run make test-gpu")
def test_make_test_gpu_reports_that_there_is_no_gpu() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "CUDA device" in done.stderr
