from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cgan_runtime.errors import OutputError
from cgan_training.data import Dataset, optdigits
from cgan_training.errors import DatasetError
from cgan_training.evaluation import classifier as classifier_module
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

    def train(images: Tensor, labels: Tensor, *, classes: int) -> EvaluationClassifier:
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


def test_images_that_cannot_be_pooled_are_rejected() -> None:
    with pytest.raises(DatasetError, match="images of 4 x 4 pixels or more, got 3 x 9; omit the"):
        EvaluationClassifier(classes=2, height=3, width=9)
