import importlib
from types import ModuleType

import pytest
import torch

from cgan_training.data.torchvision_ops import import_torchvision_datasets


@pytest.mark.parametrize("message", ["", "operator torchvision::nms does not exist", "other"])
def test_operators_are_declared_if_the_import_misses_them(
    monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    datasets = ModuleType("torchvision.datasets")
    errors = [RuntimeError(message)] if message else []
    declared: list[str] = []

    class Library:
        def __init__(self, *_: str) -> None:
            pass

        def define(self, schema: str) -> None:
            declared.append(schema.partition("(")[0])

    def import_module(_: str) -> ModuleType:
        if errors:
            raise errors.pop()
        return datasets

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(torch.library, "Library", Library)
    if message == "other":
        with pytest.raises(RuntimeError, match="other"):
            import_torchvision_datasets()
    else:
        assert import_torchvision_datasets() is datasets
    assert declared == (["nms", "qnms"] if "nms" in message else [])
