import os
import pickle
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


def test_a_model_comes_back_as_it_was_saved(run_dir: Path, tmp_path: Path) -> None:
    model = load_model(run_dir / "model.pt")
    save_model(model, tmp_path / "copy.pt")
    again = load_model(tmp_path / "copy.pt")
    assert again.weights_sha256 == model.weights_sha256
    assert (again.class_names, again.dataset) == (tuple("0123456789"), "optdigits")
    assert again.recipe["name"] == "small"
    assert again.training["epochs"] == 2
    noise, label = torch.randn(10, 10), torch.arange(10)
    assert torch.equal(model.generator(noise, label), again.generator(noise, label))


def test_a_run_directory_stands_for_its_model(run_dir: Path) -> None:
    assert load_model(run_dir).weights_sha256 == load_model(run_dir / "model.pt").weights_sha256


def test_the_hash_tells_one_changed_weight(run_dir: Path) -> None:
    model = load_model(run_dir)
    before = model.weights_sha256
    next(model.generator.parameters())[0, 0] += 1e-3
    assert model.weights_sha256 != before


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_code_does_not(tmp_path: Path) -> None:
    path, trace = tmp_path / "model.pt", tmp_path / "was-here"
    for save in (torch.save, lambda bomb, file: Path(file).write_bytes(pickle.dumps(bomb))):
        save({"format": "cgan-model", "version": 1, "bomb": Bomb(trace)}, path)
        with pytest.raises(ModelFileError, match="is not a model that cgan-train wrote"):
            load_model(path)
        assert not trace.exists()


@pytest.mark.parametrize("size", [0, 10, 1000, -1])
def test_a_truncated_file_is_refused(run_dir: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes((run_dir / "model.pt").read_bytes()[:size])
    with pytest.raises(ModelFileError, match=r"model.pt is not a model that cgan-train wrote"):
        load_model(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"there is no .*model.pt; make one with cgan-train"):
        load_model(tmp_path)


def test_a_checkpoint_is_not_a_model(run_dir: Path) -> None:
    with pytest.raises(ModelFileError, match="but not a model that cgan-train wrote"):
        load_model(run_dir / "checkpoint.pt")


@pytest.mark.parametrize("version", [1, 3])
def test_another_version_is_refused(content: dict[str, Any], tmp_path: Path, version: int) -> None:
    torch.save(content | {"version": version}, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match=f"has model format {version}, this release reads 2"):
        load_model(tmp_path)


@pytest.mark.parametrize("key", ["network", "weights", "class_names", "training", "quality"])
def test_a_missing_part_is_refused(content: dict[str, Any], tmp_path: Path, key: str) -> None:
    del content[key]
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="is damaged"):
        load_model(tmp_path)


@pytest.mark.parametrize("key", ["network", "weights", "training"])
def test_a_tensor_where_a_table_belongs(content: dict[str, Any], tmp_path: Path, key: str) -> None:
    content[key] = torch.zeros(3)
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="is damaged") as caught:
        load_model(tmp_path)
    assert "Warning" not in str(caught.value)  # as torch says of such an index


def test_weights_that_do_not_fit_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    content["network"]["noise_dim"] += 1
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="is damaged: its parts do not fit"):
        load_model(tmp_path)


def other_network(content: dict[str, Any], **changes: Any) -> None:
    content["network"].update(changes)


def weight(content: dict[str, Any]) -> torch.Tensor:
    found: torch.Tensor = content["weights"]["layers.0.weight"]
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda it: other_network(it, noise_dim=2**50),
        lambda it: other_network(it, classes="10"),
        lambda it: other_network(it, height=-28),
        lambda it: other_network(it, more=1),
        lambda it: other_network(it, settings={"kind": "perceptron", "hidden": [2**40, 2**40]}),
        lambda it: other_network(it, settings={"kind": "perceptron", "hidden": [32] * 10_000}),
        lambda it: other_network(it, settings={"kind": "x" * 10**6, "hidden": [32, 48]}),
        lambda it: other_network(it, settings="\n" * 1000),
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
        lambda it: it["training"].update(start={"recipe": "edge"}),
        lambda it: it.update(quality={"label_accuracy": "good"}),
        lambda it: it.update(quality={"label_accuracy": float("inf")}),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    content: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    change(content)
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelFileError) as caught:
        load_model(tmp_path)
    message = str(caught.value)
    assert "model.pt is damaged: its parts do not fit (" in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("version", [torch.tensor([2, 2]), "2", 2.0, True, "\n" * 999], ids=repr)
def test_a_version_that_is_none(content: dict[str, Any], tmp_path: Path, version: Any) -> None:
    torch.save(content | {"version": version}, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match=r"has model format .{1,25}, this release reads 2; "):
        load_model(tmp_path)
