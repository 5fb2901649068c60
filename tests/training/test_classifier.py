from pathlib import Path

import pytest
import torch

from cgan_runtime.errors import OutputError
from cgan_training.data import Dataset, optdigits
from cgan_training.evaluation.classifier import (
    EvaluationClassifier,
    label_accuracy,
    load_or_train_classifier,
    read_labels,
    train_classifier,
)


@pytest.fixture(scope="module")
def few(digits: Dataset) -> Dataset:
    return Dataset("few", "few", digits.images[:256], digits.labels[:256], digits.class_names)


@pytest.fixture(scope="module")
def judge(digits: Dataset) -> EvaluationClassifier:
    return train_classifier(digits.images, digits.labels, classes=10, epochs=12)


def test_it_reads_digits_that_it_has_not_seen(judge: EvaluationClassifier) -> None:
    held_out = optdigits.load(train=False)
    assert label_accuracy(judge, held_out.images, held_out.labels) > 0.93
    assert read_labels(judge, held_out.images, batch_size=100).shape == (297,)


def test_it_does_not_read_what_is_not_there(judge: EvaluationClassifier, digits: Dataset) -> None:
    shuffled = digits.labels[torch.randperm(len(digits.labels))]
    assert label_accuracy(judge, digits.images, shuffled) < 0.2


def test_the_same_seed_trains_the_same_judge_and_disturbs_nothing(few: Dataset) -> None:
    before = torch.get_rng_state()
    first, second, other = (
        train_classifier(few.images, few.labels, classes=10, epochs=1, seed=seed)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first(few.images), second(few.images))
    assert not torch.equal(first(few.images), other(few.images))


def test_features_are_what_the_head_sees(judge: EvaluationClassifier, few: Dataset) -> None:
    features = judge.features(few.images)
    assert features.shape == (256, 128)
    assert features.min() >= 0
    assert torch.allclose(judge.head(features), judge(few.images))


def test_a_judge_is_kept_and_found_again(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = []

    def count(*arguments: object, **options: object) -> EvaluationClassifier:
        trainings.append(options["seed"])
        return train_classifier(few.images, few.labels, classes=10, epochs=1)

    monkeypatch.setattr("cgan_training.evaluation.classifier.train_classifier", count)

    def load(seed: int) -> EvaluationClassifier:
        return load_or_train_classifier(
            few.images, few.labels, classes=10, cache_dir=tmp_path / "cache", seed=seed
        )

    first, again = load(0), load(0)
    assert torch.equal(first(few.images), again(few.images))
    assert trainings == [0]
    load(1)
    assert trainings == [0, 1]
    for kept in (tmp_path / "cache").iterdir():
        kept.write_bytes(kept.read_bytes()[:1000])
    load(0)
    assert trainings == [0, 1, 0]


def test_a_cache_that_cannot_be_written_is_said_before_training(
    few: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot make .*file/cache"):
        load_or_train_classifier(
            few.images, few.labels, classes=10, cache_dir=tmp_path / "file" / "cache"
        )


def test_wrong_input_is_refused(judge: EvaluationClassifier, few: Dataset) -> None:
    with pytest.raises(ValueError, match="need uint8 images"):
        label_accuracy(judge, few.images.float(), few.labels)
    with pytest.raises(ValueError, match="do not fit"):
        label_accuracy(judge, few.images, few.labels[1:])
    with pytest.raises(ValueError, match="the judge reads uint8"):
        judge(few.images[:, :, 1:])
    with pytest.raises(ValueError, match="labels must be 0 or more and below 5"):
        train_classifier(few.images, few.labels, classes=5)
