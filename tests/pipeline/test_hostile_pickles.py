"""No command that reads a .pt file runs what is in it."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import cgan_training.evaluation.classifier
from cgan_training.data import Dataset
from cgan_training.evaluation.classifier import load_or_train_classifier
from cgan_training.run.checkpoint import NAME, PREVIOUS_NAME

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


class Bomb:
    """Makes a folder when it is loaded; as a value of each kind of .pt file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"import os; os.mkdir({str(self.trace)!r})",)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


@pytest.fixture
def bomb(trace: Path) -> Bomb:
    """One that works: whoever loads it without care runs it."""
    path = trace.with_name("bomb.pt")
    torch.save({"bomb": Bomb(trace)}, path)
    torch.load(path, weights_only=False)
    assert trace.exists()
    trace.rmdir()
    path.unlink()
    return Bomb(trace)


def hostile(bomb: Bomb, path: Path) -> None:
    """Put the bomb into a file that is sound otherwise."""
    values = torch.load(path, weights_only=True)
    torch.save(values | {"bomb": bomb}, path)


@pytest.fixture
def run(run_dir: Path, tmp_path: Path) -> Path:
    """A finished run of one's own."""
    return Path(shutil.copytree(run_dir, tmp_path / "run"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["cgan-export", "run", "digits.onnx", "--judge"],
        ["cgan-eval", "run/model.pt", "--dataset", "optdigits", "--quick"],
        ["cgan-eval", "sound.pt", "--baseline", "run/model.pt", "--dataset", "optdigits"],
    ],
    ids=" ".join,
)
def test_a_hostile_model(
    call: Command, run: Path, bomb: Bomb, trace: Path, arguments: list[str]
) -> None:
    shutil.copy(run / "model.pt", run.with_name("sound.pt"))
    hostile(bomb, run / "model.pt")
    done = call(*arguments)
    assert done.returncode == 1
    assert re.fullmatch(
        rb"error: run/model\.pt is not a model that cgan-train wrote, or is damaged \(its pickle "
        rb"names '__builtin__ exec'\); give it a model\.pt\n",
        done.stderr,
    )
    assert not trace.exists()
    assert not run.with_name("digits.onnx").exists()


@pytest.mark.parametrize("names", [[NAME], [NAME, PREVIOUS_NAME]], ids=" ".join)
def test_a_hostile_checkpoint(
    call: Command, run: Path, bomb: Bomb, trace: Path, names: list[str]
) -> None:
    for name in names:
        hostile(bomb, run / name)
    done = call("cgan-train", "--resume", "run", "--dataset", "optdigits")
    assert not trace.exists()
    assert b"checkpoint.pt is cut short, damaged or no checkpoint" in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.returncode == (1 if PREVIOUS_NAME in names else 0)  # or from the one before


def test_a_hostile_judge(
    bomb: Bomb, trace: Path, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cgan-eval, cgan-export --judge and cgan-train --eval-every keep in --cache-dir."""
    trained: list[int] = []

    def train(*_: Any, **__: Any) -> Any:
        trained.append(1)
        return cgan_training.evaluation.classifier._untrained(10, digits.images, 0)

    monkeypatch.setattr(cgan_training.evaluation.classifier, "train_classifier", train)
    data = digits.images, digits.labels
    load_or_train_classifier(*data, classes=10, cache_dir=tmp_path / "judges")
    (path,) = (tmp_path / "judges").iterdir()
    hostile(bomb, path)
    load_or_train_classifier(*data, classes=10, cache_dir=tmp_path / "judges")
    assert len(trained) == 2
    assert not trace.exists()
    load_or_train_classifier(*data, classes=10, cache_dir=tmp_path / "judges")
    assert len(trained) == 2  # the hostile one was replaced
