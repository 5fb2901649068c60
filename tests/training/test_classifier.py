from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cgan_runtime.errors import OutputError
from cgan_training.data import Dataset, optdigits
from cgan_training.evaluation import classifier as classifier_module
from cgan_training.evaluation.classifier import (
    EvaluationClassifier,
    label_accuracy,
    load_or_train_classifier,
    predict_labels,
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
    predicted = predict_labels(classifier, test.images)
    assert predicted.shape == (297,)
    accuracy = label_accuracy(classifier, test.images, test.labels)
    assert accuracy == (predicted == test.labels).double().mean() > 0.93
    monkeypatch.setattr(classifier_module, "BATCH_SIZE", 100)
    assert torch.equal(predict_labels(classifier, test.images), predicted)


def test_the_seed_determines_the_weights_and_the_global_random_state_is_kept(
    few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(classifier_module.SETTINGS, epochs=1, min_steps=6)  # 3 epochs of 2 batches
    monkeypatch.setattr(classifier_module, "SETTINGS", settings)
    before = torch.get_rng_state()
    first, same, different = (
        train_classifier(few.images, few.labels, classes=10, epochs=epochs, seed=seed)
        for epochs, seed in ((3, 1), (None, 1), (3, 2))
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first(few.images), same(few.images))
    assert not torch.equal(first(few.images), different(few.images))


def test_features_are_the_input_of_the_head(classifier: EvaluationClassifier, few: Dataset) -> None:
    features = classifier.features(few.images)
    assert features.shape == (256, 128)
    assert features.min() >= 0
    assert torch.allclose(classifier.head(features), classifier(few.images))


def test_a_classifier_is_cached_and_a_damaged_file_replaced(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_seeds = []

    def count(*arguments: object, **options: object) -> EvaluationClassifier:
        trained_seeds.append(options["seed"])
        return train_classifier(few.images, few.labels, classes=10, epochs=1)

    monkeypatch.setattr(classifier_module, "train_classifier", count)

    def load(seed: int) -> EvaluationClassifier:
        return load_or_train_classifier(
            few.images, few.labels, classes=10, cache_dir=tmp_path / "cache", seed=seed
        )

    trained, loaded = load(0), load(0)
    assert torch.equal(trained(few.images), loaded(few.images))
    assert trained_seeds == [0]
    load(1)
    assert trained_seeds == [0, 1]
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    load(0)
    assert trained_seeds == [0, 1, 0]


def test_a_cache_that_cannot_be_written_is_reported_before_training(
    few: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot create .*file/cache: .*; choose another"):
        load_or_train_classifier(
            few.images, few.labels, classes=10, cache_dir=tmp_path / "file" / "cache"
        )


def test_invalid_arguments_are_rejected(classifier: EvaluationClassifier, few: Dataset) -> None:
    with pytest.raises(ValueError, match="expected uint8 images"):
        label_accuracy(classifier, few.images.float(), few.labels)
    with pytest.raises(ValueError, match="do not match"):
        label_accuracy(classifier, few.images, few.labels[1:])
    with pytest.raises(ValueError, match="the classifier expects uint8"):
        classifier(few.images[:, :, 1:])
    with pytest.raises(ValueError, match="labels must be 0 or more and below 5"):
        train_classifier(few.images, few.labels, classes=5)
    with pytest.raises(ValueError, match="epochs is 0; it must be at least 1"):
        train_classifier(few.images, few.labels, classes=10, epochs=0)
