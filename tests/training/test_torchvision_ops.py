import importlib
import subprocess
import sys
from types import ModuleType

import pytest
import torch

from cgan_training.data import torchvision_ops


def test_torchvision_imports_beside_this_torch() -> None:
    code = (
        "from cgan_training.data.torchvision_ops import import_torchvision_datasets as f;"
        "assert f().MNIST is f().MNIST; import torchvision; print(torchvision.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_nothing_is_defined_where_torchvision_imports_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    datasets = ModuleType("torchvision.datasets")
    monkeypatch.setattr(importlib, "import_module", lambda _: datasets)
    monkeypatch.setattr(torch.library, "Library", None)  # calling it would raise
    assert torchvision_ops.import_torchvision_datasets() is datasets


def test_another_failure_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> ModuleType:
        raise RuntimeError("something else")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        torchvision_ops.import_torchvision_datasets()
