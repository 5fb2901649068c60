"""Measure the quality of generated images with all metrics of cgan-eval."""

import logging
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgan_export.evaluation.datasets import EvaluationData, require_fit
from cgan_export.evaluation.image_sources import ImageSource
from cgan_training.data import Dataset
from cgan_training.data.spectrum import high_frequency_share
from cgan_training.evaluation.classifier import (
    EvaluationClassifier,
    classification_accuracy_score,
    label_accuracy,
    load_or_train_classifier,
    predict_with_features,
)
from cgan_training.evaluation.memorization import memorization_rate, nearest_training_images
from cgan_training.evaluation.quality import Reference

# The number of generated images is the size of the test set, within these limits.
MIN_IMAGES, MAX_IMAGES = 1_000, 10_000
# The classification accuracy score uses as many generated images as the training set has, but at
# least this number.
MIN_CAS_IMAGES = 10_000
LOW_ACCURACY = 0.8  # a lower label accuracy gives a warning

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one model, and the data for its pictures."""

    name: str
    # Means over the image sets by key (see metrics.py). None: the metric is undefined for the data.
    metrics: dict[str, float | None]
    deviations: dict[str, float | None]  # standard deviations; empty for a single image set
    accuracy_by_label: tuple[float | None, ...]  # over all sets; None: label not in the test set
    confusion: list[list[int]]  # [requested label][predicted label]
    images: Tensor  # the first image set, uint8 [n, channels, height, width]
    labels: Tensor  # int64 [n]
    nearest: Tensor  # int64 [n], index of the nearest training image

    def to_dict(self) -> dict[str, Any]:
        """Return the values that --json prints."""
        return {
            "model": self.name,
            "figures": self.metrics,
            "deviations": self.deviations,
            "accuracy_by_label": list(self.accuracy_by_label),
            "confusion": self.confusion,
        }


class Evaluator:
    """Measures models with the real dataset and the evaluation classifier.

    Args:
        data: the real images.
        cache_dir: folder of the evaluation classifier, which is trained at first use. That takes
            some minutes.

    Raises:
        cgan_runtime.OutputError: cache_dir is not writable.
    """

    def __init__(self, data: EvaluationData, cache_dir: Path) -> None:
        self.train, self.test = data.train, data.test
        self.classifier = load_or_train_classifier(self.train, cache_dir)
        self.classifier_accuracy = measure_classifier(self.classifier, self.test)
        self.reference = Reference.fit(self.classifier, self.test, self.train)
        self._share_of_test = high_frequency_share(self.test.images)
        self._nearest_of_test = nearest_training_images(
            self.test.images, self.test.labels, self.train
        )

    def evaluate(self, source: ImageSource, *, quick: bool = False, repeats: int = 1) -> Evaluation:
        """Generate images and measure them.

        Args:
            source: the model or control whose images are measured.
            quick: skip the classification accuracy score, which takes minutes.
            repeats: number of image sets to generate and measure, at least 1. The classification
                accuracy score is measured once, and the pictures show the first set.

        Raises:
            EvaluationError: the images do not have the classes or the size of the dataset.
        """
        require_fit(source, self.train)
        count = max(MIN_IMAGES, min(MAX_IMAGES, len(self.test.labels)))
        times = "" if repeats == 1 else f"{repeats} times "
        _logger.info("generating %s%s images with %s", times, f"{count:,}", source.name)
        labels = _cycled(self.test.labels, count)
        images = source.generate(labels.repeat(repeats)).split(count)  # each set has its own noise
        sets, confusions, nearest = zip(
            *(self._measure(each, labels) for each in images), strict=True
        )
        metrics, deviations = _statistics(sets)
        confusion = torch.stack(confusions).sum(0)
        accuracy_by_label = confusion.diagonal() / confusion.sum(1)
        metrics["worst_label_accuracy"] = accuracy_by_label.nan_to_num(1.0).min().item()
        if not quick:
            _logger.info("training a classifier on generated images")
            cas_labels = _cycled(self.train.labels, max(MIN_CAS_IMAGES, len(self.train.labels)))
            metrics["cas"] = classification_accuracy_score(
                source.generate(cas_labels), cas_labels, self.test
            )
        return Evaluation(
            name=source.name,
            metrics={key: _rounded(value) for key, value in metrics.items()},
            deviations={key: _rounded(value) for key, value in deviations.items()},
            accuracy_by_label=tuple(map(_rounded, accuracy_by_label.tolist())),
            confusion=confusion.tolist(),
            images=images[0],
            labels=labels,
            nearest=nearest[0],
        )

    def _measure(self, images: Tensor, labels: Tensor) -> tuple[dict[str, float], Tensor, Tensor]:
        """Return an image set's metrics, confusion matrix and nearest training images."""
        features, predicted = predict_with_features(self.classifier, images)
        metrics = asdict(self.reference.measure(features, predicted, labels))
        share, test_share = high_frequency_share(images), self._share_of_test
        metrics["high_frequency_ratio"] = share / test_share if test_share else math.nan
        nearest = nearest_training_images(images, labels, self.train)
        metrics["memorized"] = memorization_rate(nearest, self._nearest_of_test)
        confusion = torch.zeros(self.train.classes, self.train.classes, dtype=torch.int64)
        confusion.index_put_((labels, predicted), torch.tensor(1), accumulate=True)
        return metrics, confusion, nearest.index


def measure_classifier(classifier: EvaluationClassifier, test: Dataset) -> float:
    """Measure and log the classifier's accuracy on real test images. Log a warning if it is low."""
    accuracy = label_accuracy(classifier, test.images, test.labels)
    _logger.info("accuracy of the classifier on the test set: %.2f%%", accuracy * 100)
    warn_if_low(accuracy, "the evaluation classifier on the test set")
    return accuracy


def warn_if_low(accuracy: float, subject: str) -> None:
    """Log a warning if a label accuracy is so low that the metrics mean little."""
    if accuracy < LOW_ACCURACY:
        _logger.warning(
            "the label accuracy of %s is only %.2f%%, so the metrics mean little; "
            "check --dataset, or train the model longer",
            subject,
            accuracy * 100,
        )


def _statistics(sets: Sequence[dict[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean of each metric, and its standard deviation if there are several sets."""
    columns = {key: [each[key] for each in sets] for key in sets[0]}
    means = {key: statistics.mean(column) for key, column in columns.items()}
    if len(sets) == 1:
        return means, {}
    return means, {
        key: math.nan if math.isnan(means[key]) else statistics.stdev(column)
        for key, column in columns.items()
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _cycled(labels: Tensor, count: int) -> Tensor:
    """Repeat the labels until there are `count`, which keeps their proportions."""
    return labels.repeat(math.ceil(count / len(labels)))[:count]
