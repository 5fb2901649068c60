"""The evaluation classifier: training, cache and interruptions."""

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cgan_runtime.errors import OutputError
from cgan_training.archive import load_archive, save_archive
from cgan_training.data import Dataset
from cgan_training.data.sources import optdigits
from cgan_training.evaluation import classifier as classifier_module
from cgan_training.evaluation import classifier_progress, classifier_state
from cgan_training.evaluation.classifier import (
    EvaluationClassifier,
    label_accuracy,
    load_or_train_classifier,
    predict_with_features,
    train_classifier,
)


def downsample(data: Dataset, count: int = 1500) -> Dataset:
    """Return the first images at half the size, which are four times faster to train on."""
    return replace(data, images=data.images[:count, :, ::2, ::2], labels=data.labels[:count])


@pytest.fixture(scope="module")
def few(digits: Dataset) -> Dataset:
    return downsample(digits, 256)


@pytest.fixture(scope="module")
def classifier(digits: Dataset) -> EvaluationClassifier:
    small = downsample(digits)
    return train_classifier(small.images, small.labels, classes=10, epochs=5)


def test_unseen_digits_are_classified(
    classifier: EvaluationClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = downsample(optdigits.load(train=False))
    predicted = predict_with_features(classifier, test.images)[1]
    assert predicted.shape == (297,)
    accuracy = label_accuracy(classifier, test.images, test.labels)
    assert accuracy == (predicted == test.labels).double().mean() > 0.93
    monkeypatch.setattr(classifier_module, "BATCH_SIZE", 100)
    assert torch.equal(predict_with_features(classifier, test.images)[1], predicted)


def test_color_images_are_classified() -> None:
    labels = torch.arange(96) % 3
    images = torch.randint(100, (96, 3, 8, 12), generator=torch.Generator().manual_seed(0)).byte()
    images[torch.arange(96), labels] += 100  # the label is the brightest channel
    trained = train_classifier(images, labels, classes=3, epochs=40)
    assert label_accuracy(trained, images, labels) > 0.95


def test_training_is_reproducible_and_keeps_the_global_random_state(
    few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(classifier_module.SETTINGS, epochs=1, min_steps=6)  # 3 epochs of 2 batches
    monkeypatch.setattr(classifier_module, "SETTINGS", settings)
    before = torch.get_rng_state()
    first, same = (
        train_classifier(few.images, few.labels, classes=10, epochs=epochs) for epochs in (3, None)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first(few.images), same(few.images))


@pytest.mark.parametrize("epochs", range(1, 6))
def test_any_number_of_steps_is_possible(few: Dataset, epochs: int) -> None:
    images, labels = few.images[:9], few.labels[:9]  # one batch, so an epoch is one step
    trained = train_classifier(images, labels, classes=10, epochs=epochs)
    assert trained(images).isfinite().all()


def test_features_are_the_input_of_the_head(classifier: EvaluationClassifier, few: Dataset) -> None:
    features = classifier.features(few.images)
    assert features.shape == (256, 128)
    assert features.min() >= 0
    assert torch.allclose(classifier.head(features), classifier(few.images))


def test_a_classifier_is_cached_and_a_damaged_file_replaced(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on = []

    def train(images: Tensor, labels: Tensor, *, classes: int, **_: Any) -> EvaluationClassifier:
        trained_on.append(len(images))
        return train_classifier(images, labels, classes=classes, epochs=1)

    monkeypatch.setattr(classifier_module, "train_classifier", train)
    cache, fewer = tmp_path / "cache", replace(few, images=few.images[:99], labels=few.labels[:99])
    trained, loaded = (load_or_train_classifier(few, cache) for _ in range(2))
    assert torch.equal(trained(few.images), loaded(few.images))
    assert trained_on == [256]
    load_or_train_classifier(fewer, cache)
    assert trained_on == [256, 99]
    for file in cache.iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    load_or_train_classifier(few, cache)
    assert trained_on == [256, 99, 256]


class KilledError(Exception):
    """Simulates a killed process."""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(classifier_module.SETTINGS, epochs=4, min_steps=1)
    monkeypatch.setattr(classifier_module, "SETTINGS", settings)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("seconds", "epochs"),
    [((0, 0), [1, 1, 2, 2, 3, 3, 4, 4]), ((0, 99), [1, 2, 3, 4]), (2 * (99,), [4])],
)
def test_the_training_of_a_classifier_and_the_use_of_the_cache_are_logged(
    few: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: tuple[float, float],
    epochs: list[int],
) -> None:
    caplog.set_level(logging.INFO, "cgan_training")
    for name, value in zip(("EPOCH_SECONDS", "STEP_SECONDS"), seconds, strict=True):
        monkeypatch.setattr(classifier_progress, name, value)
    load_or_train_classifier(few, tmp_path)
    load_or_train_classifier(few, tmp_path)
    first, *lines, last = caplog.messages
    name = few.name
    assert first.startswith(f"training the evaluation classifier of {name}, which takes minutes; ")
    form = r"classifier epoch (\d)/4  loss \d\.\d{3}  [\d,]+ images/s  \d\d:\d\d left"
    matches = [re.fullmatch(form, line) for line in lines]
    assert [match and int(match[1]) for match in matches] == epochs
    assert lines[-1].endswith("  00:00 left")
    assert last == f"using the evaluation classifier of {name} in {next(tmp_path.iterdir())}"


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_a_killed_training_continues_with_the_same_weights(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    uninterrupted = load_or_train_classifier(few, tmp_path / "other").state_dict()
    augment, steps = classifier_module._augment, []

    def count(images: Tensor, generator: torch.Generator) -> Tensor:
        steps.append(len(images))
        if len(steps) == 2 * epoch + 2:  # in the middle of an epoch of 2 steps
            raise KilledError
        return augment(images, generator)

    with monkeypatch.context() as patch:
        patch.setattr(classifier_module, "_augment", count)
        with pytest.raises(KilledError):
            load_or_train_classifier(few, tmp_path)
    (state,) = tmp_path.glob("*.state.pt")
    steps.clear()

    def count_all(images: Tensor, generator: torch.Generator) -> Tensor:
        steps.append(len(images))
        return augment(images, generator)

    monkeypatch.setattr(classifier_module, "_augment", count_all)
    classifier = load_or_train_classifier(few, tmp_path)
    assert len(steps) == 2 * (4 - epoch)
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, uninterrupted[name]), name
    assert not state.exists()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("content", [b"", b"damaged", {"epoch": 1}, {"weights": {}}, {"random": 5}])
def test_a_damaged_state_of_the_training_is_ignored(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | dict[str, Any]
) -> None:
    expected = load_or_train_classifier(few, tmp_path).state_dict()
    (path,) = tmp_path.iterdir()
    path.unlink()
    state = path.with_suffix(".state.pt")
    if isinstance(content, bytes):
        state.write_bytes(content)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", lambda *_, **__: None)
            load_or_train_classifier(few, tmp_path)
        path.unlink()
        save_archive(load_archive(state) | content | {"epochs": 5}, state)
    classifier = load_or_train_classifier(few, tmp_path)
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.usefixtures("short")
def test_two_trainings_of_one_classifier_do_not_disturb_each_other(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one begins and ends after the second epoch of the first."""
    save = classifier_state.ClassifierTrainingState.save
    others: list[EvaluationClassifier] = []

    def begin_another(state: classifier_state.ClassifierTrainingState, epoch: int) -> None:
        save(state, epoch)
        if epoch == 2 and not others:
            others.append(load_or_train_classifier(few, tmp_path))

    monkeypatch.setattr(classifier_state.ClassifierTrainingState, "save", begin_another)
    trained = load_or_train_classifier(few, tmp_path)
    assert torch.equal(trained(few.images), others[0](few.images))
    assert len([*tmp_path.iterdir()]) == 1
    assert torch.equal(load_or_train_classifier(few, tmp_path)(few.images), trained(few.images))


@pytest.mark.usefixtures("short")
def test_a_full_disk_does_not_discard_the_trained_classifier(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(values: Any, path: Path) -> None:
        if values:
            raise OutputError("disk full")

    for module in (classifier_module, classifier_state):
        monkeypatch.setattr(module, "save_archive", save)
    assert load_or_train_classifier(few, tmp_path)(few.images).isfinite().all()


def test_a_cache_that_cannot_be_written_is_reported_before_training(
    few: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot create .*file/cache: .*; choose another"):
        load_or_train_classifier(few, tmp_path / "file" / "cache")


def test_images_of_another_type_or_size_are_rejected(
    classifier: EvaluationClassifier, few: Dataset
) -> None:
    for images in (few.images.float(), few.images[:, :, 1:]):
        with pytest.raises(ValueError, match="the classifier expects uint8"):
            classifier(images)
