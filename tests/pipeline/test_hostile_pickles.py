"""Loading a .pt file never executes what is in it."""

import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command
from torch import Tensor

from cgan_training.data import Dataset
from cgan_training.evaluation import classifier
from cgan_training.run.checkpoint import CHECKPOINT_NAME, PREVIOUS_CHECKPOINT_NAME

Infect = Callable[..., None]  # of a path and a key of REASONS
REASONS = {  # why a file is rejected, by the place of the malicious value
    "value": b"'__builtin__ exec'",
    "pickle before the archive": b"(it is not a ZIP archive)",
    "entry of another case": b"(it has the unexpected entry 'archive/DATA.PKL')",
}


class MaliciousValue:
    """Creates a folder when pickle loads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"import os; os.mkdir({str(self.folder)!r})",)


@pytest.fixture
def infect(tmp_path: Path) -> Iterator[Infect]:
    """Add a malicious value to a file; the test fails if the value is ever loaded."""
    value = MaliciousValue(tmp_path / "executed")

    def add(path: Path, place: str = "value") -> None:
        if place == "value":
            content = torch.load(path, weights_only=True) | {"value": value}
            torch.save(content, path)
        elif place == "pickle before the archive":
            archive = path.read_bytes()
            torch.save({"value": value}, path, _use_new_zipfile_serialization=False)
            path.write_bytes(path.read_bytes() + archive)
        else:
            with zipfile.ZipFile(path, "a") as file:
                name = next(each for each in file.namelist() if each.endswith("/data.pkl"))
                file.writestr(name.replace("data.pkl", "DATA.PKL"), pickle.dumps(value, 2))

    torch.save(value, tmp_path / "malicious.pt")
    torch.load(tmp_path / "malicious.pt", weights_only=False)
    value.folder.rmdir()  # raises an error unless loading the value has executed its code
    yield add
    assert not value.folder.exists()


EXPORT = ("cgan-export", "run", "digits.onnx", "--evaluate")


@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        *((place, EXPORT) for place in REASONS),
        ("value", ("cgan-eval", "run/model.pt", "--dataset", "optdigits", "--quick")),
        (
            "value",
            ("cgan-eval", "valid.pt", "--baseline", "run/model.pt", "--dataset", "optdigits"),
        ),
    ],
)
def test_a_malicious_model_is_rejected(
    call: Command, run_copy: Path, infect: Infect, place: str, arguments: tuple[str, ...]
) -> None:
    shutil.copy(run_copy / "model.pt", run_copy.with_name("valid.pt"))
    infect(run_copy / "model.pt", place)
    done = call(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: run/model.pt is not a model ")
    assert REASONS[place] in done.stderr
    assert not run_copy.with_name("digits.onnx").exists()


@pytest.mark.parametrize(
    "names", [[CHECKPOINT_NAME], [CHECKPOINT_NAME, PREVIOUS_CHECKPOINT_NAME]], ids=" ".join
)
def test_a_malicious_checkpoint_is_rejected(
    call: Command, run_copy: Path, infect: Infect, names: list[str]
) -> None:
    for name in names:
        infect(run_copy / name)
    done = call("cgan-train", "--resume", "run", "--dataset", "optdigits")
    assert b"checkpoint.pt is truncated, damaged or not a checkpoint" in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.returncode == len(names) - 1  # with one checkpoint left, the run is resumed


def test_a_malicious_classifier_is_replaced(
    infect: Infect, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []

    def train(images: Tensor, _labels: Tensor, *, classes: int, **_: Any) -> Any:
        trained.append(classes)
        channels, height, width = images.shape[1:]
        return classifier._untrained_classifier(classes, (channels, height, width))

    monkeypatch.setattr(classifier, "train_classifier", train)
    cache = tmp_path / "cache"
    for expected in (1, 2, 2):
        classifier.load_or_train_classifier(digits, cache)
        assert len(trained) == expected
        if expected == 1:
            infect(next(cache.iterdir()))
