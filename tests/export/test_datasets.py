"""The choice of the evaluation dataset, and the datasets that are rejected."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from idx_files import idx
from numpy.typing import NDArray

from cgan_export.errors import EvaluationError
from cgan_export.evaluation.datasets import load_evaluation_data, load_training_images
from cgan_export.evaluation.image_sources import ImageSource
from cgan_training.data import Conversion, Dataset, load_dataset
from cgan_training.errors import DatasetError

NAMES = ("yes", "no", "maybe")
MakeFolder = Callable[..., Path]


def idx_of(values: NDArray[np.uint8]) -> bytes:
    return idx(values.shape, values.tobytes())


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write a dataset of random images to a folder: make_folder("shapes", seed=1)."""

    def make(
        name: str,
        seed: int = 0,
        names: tuple[str, ...] = NAMES,
    ) -> Path:
        folder, rng = tmp_path / name, np.random.default_rng(seed)
        folder.mkdir(parents=True, exist_ok=True)
        for part, labels in (("train", (0, 1, 2, 0, 1, 2)), ("t10k", (0, 1, 2))):
            images = rng.integers(0, 256, (len(labels), 8, 8), np.uint8)
            (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_of(images))
            (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_of(np.array(labels, np.uint8)))
        (folder / "classes.txt").write_text("".join(f"{each}\n" for each in names))
        return folder

    return make


def source(
    dataset: str, training: Mapping[str, Any], names: tuple[str, ...] = NAMES
) -> ImageSource:
    return ImageSource("m.pt", dataset, names, (1, 8, 8), lambda labels: labels, training)


def facts(folder: Path) -> dict[str, str]:
    """Return what cgan-train stores about a dataset in model.pt."""
    data = load_dataset(str(folder), Path("none"))[0]
    return {"dataset_path": str(folder), "data_dir": "/none", "dataset_sha256": data.sha256}


def test_the_training_dataset_is_found_by_its_path(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder("one/shapes")
    other = make_folder("two/shapes", seed=1)
    monkeypatch.chdir(other.parent)  # this folder contains another folder named shapes
    data = load_evaluation_data(source("shapes", facts(folder)))
    assert data.train.sha256 == facts(folder)["dataset_sha256"]
    assert str(folder) in data.test.source


def test_changed_images_need_an_explicit_dataset(make_folder: MakeFolder) -> None:
    model = source("shapes", facts(make_folder("shapes")))
    folder = make_folder("shapes", seed=1)
    with pytest.raises(EvaluationError, match=r"--dataset"):
        load_training_images(model)
    assert load_training_images(model, str(folder)).classes == 3


def test_changed_classes_are_rejected(make_folder: MakeFolder) -> None:
    model = source("shapes", facts(make_folder("shapes")))
    folder = make_folder("shapes", names=("yes", "no", "perhaps"))
    with pytest.raises(EvaluationError, match=r"--dataset"):
        load_training_images(model)
    with pytest.raises(EvaluationError, match=r"class 2 of m\.pt is 'maybe', but 'perhaps' in"):
        load_training_images(model, str(folder))


def test_an_explicit_dataset_that_differs_is_noted(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = source("shapes", facts(make_folder("shapes")))
    load_training_images(model, str(make_folder("shapes")))
    assert not caplog.text
    load_training_images(model, str(make_folder("others", seed=1)))
    assert "note: m.pt was not trained on IDX files in" in caplog.text


@pytest.mark.parametrize("name", ["shapes", "auto", "../shapes", "", "mnist/"])
def test_only_a_built_in_dataset_is_looked_up_by_its_name(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_folder("shapes")
    make_folder("mnist")
    monkeypatch.chdir(tmp_path)
    for training in ({}, {"dataset_sha256": "0"}, {"dataset_path": "shapes"}):
        with pytest.raises(
            EvaluationError,
            match=r"not a built-in dataset; give its folder|does not record its training dataset",
        ):
            load_training_images(source(name, training))


def test_a_folder_with_the_name_of_a_built_in_dataset_is_not_confused(digits: Dataset) -> None:
    model = replace(source("optdigits", {}, digits.class_names), shape=(1, 28, 28))
    assert load_training_images(model).name == "optdigits"  # files of earlier releases have no hash
    model = replace(model, training={"dataset_sha256": "0" * 64})
    with pytest.raises(
        EvaluationError, match="scikit-learn's handwritten digits differs from the dataset that"
    ):
        load_training_images(model)
    model = replace(model, training={"dataset_sha256": digits.sha256})
    assert load_training_images(model).name == "optdigits"


def test_a_missing_folder_is_named_with_the_options(tmp_path: Path) -> None:
    training = {"dataset_path": str(tmp_path / "gone"), "dataset_sha256": "0"}
    with pytest.raises(
        DatasetError, match=r"there is no folder .*gone; .* with --dataset and --da"
    ):
        load_training_images(source("gone", training))


def test_equal_test_images_are_rejected(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder("shapes")

    def load_test_part(data: Dataset, *_: object) -> Dataset:
        return replace(data, images=torch.zeros_like(data.images))

    monkeypatch.setattr("cgan_export.evaluation.datasets.load_test_part", load_test_part)
    with pytest.raises(EvaluationError, match="at least two different test images"):
        load_evaluation_data(source("shapes", {}), str(folder))


def test_both_parts_of_auto_are_of_one_dataset(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = []

    def load(name: str, *_: object, **__: object) -> tuple[Dataset, None]:
        requested.append(name)
        return digits, None

    def load_test_part(data: Dataset, name: str, *_: object) -> Dataset:
        return load(name)[0]

    monkeypatch.setattr("cgan_export.evaluation.datasets.load_dataset", load)
    monkeypatch.setattr("cgan_export.evaluation.datasets.load_test_part", load_test_part)
    model = replace(source("", {}, digits.class_names), shape=(1, 28, 28))
    load_evaluation_data(model, "auto")
    assert requested == ["auto", "optdigits"]


def test_images_are_converted_as_for_the_training(make_folder: MakeFolder) -> None:
    folder = make_folder("shapes")
    conversion = Conversion((10, 9), 1)
    data = load_dataset(str(folder), Path("none"), conversion=conversion)[0]
    training = {"dataset_path": str(folder), "dataset_sha256": data.sha256} | conversion.to_dict()
    model = replace(source("shapes", training), shape=(1, 10, 9))
    found = load_evaluation_data(model)
    assert found.train.sha256 == data.sha256
    assert found.test.image_shape == (1, 10, 9)
    for wrong in ({"image_size": "10x9"}, {"image_size": [10, 9, 8]}, {"grayscale": "yes"}):
        with pytest.raises(EvaluationError, match="has an invalid record of its training"):
            load_training_images(replace(model, training=training | wrong))


def test_images_are_converted_to_those_of_a_network_from_elsewhere(make_folder: MakeFolder) -> None:
    model = replace(source("", {}), shape=(3, 12, 16))
    data = load_evaluation_data(model, str(make_folder("shapes")))
    assert data.train.image_shape == data.test.image_shape == (3, 12, 16)
