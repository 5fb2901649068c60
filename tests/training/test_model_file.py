"""Loading and saving model.pt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cgan_training.errors import ModelFileError
from cgan_training.model_file import load_model, save_model


@pytest.fixture
def content(run_dir: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(run_dir / "model.pt", weights_only=True)
    return loaded


def error_of(path: Path) -> str:
    """Return the message, which must be one line of reasonable length."""
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def error_of_content(content: Any, folder: Path) -> str:
    torch.save(content, folder / "model.pt")
    return error_of(folder / "model.pt")


def test_a_saved_model_is_loaded(run_dir: Path, tmp_path: Path) -> None:
    model = load_model(run_dir / "model.pt")
    save_model(model, tmp_path / "model.pt")
    copy = load_model(tmp_path)
    assert copy.weights_sha256 == model.weights_sha256
    assert (copy.class_names, copy.dataset) == (tuple("0123456789"), "optdigits")
    assert copy.recipe["name"] == "small"
    assert copy.training["epochs"] == 2
    noise, label = torch.randn(10, 10), torch.arange(10)
    assert torch.equal(model.generator(noise, label), copy.generator(noise, label))


def test_the_hash_depends_on_each_weight(run_dir: Path) -> None:
    model = load_model(run_dir)
    hashes = {model.weights_sha256}
    for tensor in model.generator.state_dict().values():
        tensor.view(-1)[0] += 1e-3
        hashes.add(model.weights_sha256)
    assert len(hashes) == 1 + len(model.generator.state_dict())


@pytest.mark.parametrize("size", [0, 10, 1000, -1])
def test_a_truncated_file_is_rejected(run_dir: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes((run_dir / "model.pt").read_bytes()[:size])
    assert "model.pt is not a model that cgan-train wrote" in error_of(path)


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    (tmp_path / "checkpoint.pt").touch()
    remedy = f"; continue it with cgan-train --resume {tmp_path}, or start a new run if it ended"
    assert remedy in error_of(tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    missing = f"there is no model {path}; train one with cgan-train, or check the path"
    assert error_of(path) == error_of(tmp_path) == missing
    path.mkdir()
    assert error_of(tmp_path) == f"cannot read {path}: Is a directory; check the path"
    assert error_of(Path("x" * 300)).endswith("x: File name too long; check the path")
    assert error_of(Path("a\0b")) == "there is no model 'a\\x00b'; check the path"


def test_a_checkpoint_is_rejected(run_dir: Path) -> None:
    assert "but not a model that cgan-train wrote" in error_of(run_dir / "checkpoint.pt")


@pytest.mark.parametrize(
    "version",
    [2, 4, torch.tensor([3, 3]), "3", 3.0, True, "\n" * 999],
    ids=lambda version: repr(version)[:20],
)
def test_a_different_version_is_rejected(
    content: dict[str, Any], tmp_path: Path, version: Any
) -> None:
    message = error_of_content(content | {"version": version}, tmp_path)
    assert f"has model format {version!r:.20}, but this release reads format 3; " in message


def set_network(content: dict[str, Any], **changes: Any) -> None:
    content["network"].update(changes)


def weight(content: dict[str, Any]) -> torch.Tensor:
    tensor: torch.Tensor = content["weights"]["layers.0.weight"]
    return tensor


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.pop("network"),
        lambda it: it.pop("weights"),
        lambda it: it.pop("class_names"),
        lambda it: it.pop("training"),
        lambda it: it.update(network=torch.zeros(3)),
        lambda it: it.update(weights=torch.zeros(3)),
        lambda it: it.update(training=torch.zeros(3)),
        lambda it: set_network(it, noise_dim=it["network"]["noise_dim"] + 1),
        lambda it: set_network(it, noise_dim=2**50),
        lambda it: set_network(it, classes="10"),
        lambda it: set_network(it, height=-28),
        lambda it: set_network(it, more=1),
        lambda it: set_network(it, settings={"kind": "perceptron", "hidden": [2**40, 2**40]}),
        lambda it: set_network(it, settings={"kind": "perceptron", "hidden": [32] * 10_000}),
        lambda it: set_network(it, settings={"kind": "x" * 10**6, "hidden": [32, 48]}),
        lambda it: set_network(it, settings="\n" * 1000),
        lambda it: it.update(network=[1]),
        lambda it: it.update(weights=[1]),
        lambda it: it["weights"].update({"layers.0.weight": weight(it).double()}),
        lambda it: it["weights"].update({"layers.0.weight": 5}),
        lambda it: it["weights"].update(more=weight(it)),
        lambda it: weight(it).__setitem__((0, 0), float("nan")),
        lambda it: weight(it).__setitem__((0, 0), float("inf")),
        lambda it: it.update(class_names=[*"012345678"]),
        lambda it: it.update(class_names=[*range(10)]),
        lambda it: it.update(class_names=[*"012345678", "\ud800"]),
        lambda it: it.update(class_names="0123456789"),
        lambda it: it.update(dataset=5),
        lambda it: it.update(dataset="\udcff"),
        lambda it: it.update(recipe="edge"),
        lambda it: it.update(recipe={"name": torch.zeros(1)}),
        lambda it: it.update(training={}),
        lambda it: it["training"].update(versions=5),
        lambda it: it["training"].update(seconds=float("nan")),
        lambda it: it["training"].update(started_from={"recipe": "edge"}),
    ],
)
def test_inconsistent_content_is_rejected(
    content: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    change(content)
    message = error_of_content(content, tmp_path)
    assert "model.pt is damaged: its content is inconsistent (" in message
    assert "Warning" not in message  # of torch, about a tensor that is used as an index
