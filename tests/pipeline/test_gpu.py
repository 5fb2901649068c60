"""The part of `make test-gpu` that needs no GPU."""

import runpy
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "gpu" / "pipeline.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run make test-gpu")
def test_make_test_gpu_reports_that_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    with pytest.raises(SystemExit) as exiting:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    stdout, stderr = capsys.readouterr()
    assert (exiting.value.code, stdout) == (1, "")
    assert stderr.startswith("error: ")
    assert "CUDA device" in stderr
