"""The measurements of cgan-eval."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgan_export.errors import EvaluationError
from cgan_export.evaluation.image_sources import ImageSource
from cgan_training.data import Dataset, load_dataset
from cgan_training.evaluation.classifier import (
    classification_accuracy_score,
    label_accuracy,
    load_or_train_classifier,
    predict_with_features,
)
from cgan_training.evaluation.memorization import memorization_rate, nearest_training_images
from cgan_training.evaluation.quality import Reference

# As many images are generated as the test set has, within these limits.
MIN_IMAGES, MAX_IMAGES = 1_000, 10_000
# For the classification accuracy score, as many as the training set has, but at least these.
MIN_CAS_IMAGES = 10_000


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model, and the data for its pictures."""

    name: str
    figures: dict[str, float]  # by name, in the order of the table; means over the image sets
    deviations: dict[str, float]  # standard deviations between image sets; empty for a single set
    accuracy_by_label: tuple[float, ...]  # over all image sets, like the confusion matrix
    confusion: list[list[int]]  # [requested label][predicted label]
    images: Tensor  # uint8 [n, 1, height, width], the first image set
    labels: Tensor  # int64 [n]
    nearest: Tensor  # int64 [n], index of the nearest training image

    def to_dict(self) -> dict[str, Any]:
        """Return the values that --json prints."""
        return {
            "model": self.name,
            "figures": self.figures,
            "deviations": self.deviations,
            "accuracy_by_label": list(self.accuracy_by_label),
            "confusion": self.confusion,
        }


class Evaluator:
    """Measures models with the real dataset and the evaluation classifier.

    Args:
        dataset: a dataset's name, or a folder's path.
        data_dir: the root folder of torchvision's datasets.
        cache_dir: folder of the evaluation classifier, which is trained at first use. That takes
            some minutes.
        log: receives a line of text before each long step.

    Raises:
        cgan_training.errors.TrainingError: the dataset is not available, or cache_dir is not
            writable.
    """

    def __init__(
        self, dataset: str, data_dir: Path, cache_dir: Path, log: Callable[[str], None]
    ) -> None:
        self._log = log
        self.train: Dataset = load_dataset(dataset, data_dir)[0]
        self.test: Dataset = load_dataset(dataset, data_dir, train=False)[0]
        log(
            f"loading the evaluation classifier of {self.train.name}, or training it, which takes "
            "some minutes"
        )
        self.classifier = load_or_train_classifier(self.train, cache_dir)
        self.classifier_accuracy = label_accuracy(
            self.classifier, self.test.images, self.test.labels
        )
        log(f"accuracy of the classifier on the test set: {self.classifier_accuracy:.2%}")
        self.reference = Reference.fit(self.classifier, self.test, self.train)
        self._nearest_of_test = nearest_training_images(
            self.test.images, self.test.labels, self.train
        )

    def evaluate(self, source: ImageSource, *, quick: bool = False, repeats: int = 1) -> Evaluation:
        """Measure the images of a source.

        Args:
            source: generates the images.
            quick: skip the classification accuracy score, which takes minutes.
            repeats: number of image sets to generate and measure, at least 1. The classification
                accuracy score is measured once, and the pictures show the first set.

        Raises:
            EvaluationError: the images do not have the classes or the size of the dataset.
        """
        self._require_same_shape(source)
        count = max(MIN_IMAGES, min(MAX_IMAGES, len(self.test.labels)))
        times = "" if repeats == 1 else f"{repeats} times "
        self._log(f"generating {times}{count:,} images with {source.name}")
        labels = _cycled(self.test.labels, count)
        images = source.generate(labels.repeat(repeats)).split(count)  # each set has its own noise
        sets, confusions, nearest = zip(
            *(self._measure(each, labels) for each in images), strict=True
        )
        figures, deviations = _statistics(sets)
        confusion = torch.stack(confusions).sum(0)
        accuracy_by_label = confusion.diagonal() / confusion.sum(1)
        figures["worst_label_accuracy"] = accuracy_by_label.nan_to_num(1.0).min().item()
        if not quick:
            self._log("training a classifier on generated images")
            cas_labels = _cycled(self.train.labels, max(MIN_CAS_IMAGES, len(self.train.labels)))
            figures["cas"] = classification_accuracy_score(
                source.generate(cas_labels), cas_labels, self.test
            )
        return Evaluation(
            name=source.name,
            figures=_rounded(figures),
            deviations=_rounded(deviations),
            accuracy_by_label=tuple(round(each, 4) for each in accuracy_by_label.tolist()),
            confusion=confusion.tolist(),
            images=images[0],
            labels=labels,
            nearest=nearest[0],
        )

    def _measure(self, images: Tensor, labels: Tensor) -> tuple[dict[str, float], Tensor, Tensor]:
        """Return an image set's figures, confusion matrix and nearest training images."""
        features, predicted = predict_with_features(self.classifier, images)
        figures = asdict(self.reference.measure(features, predicted, labels))
        nearest = nearest_training_images(images, labels, self.train)
        figures["memorized"] = memorization_rate(nearest, self._nearest_of_test)
        confusion = torch.zeros(2 * (self.train.classes,), dtype=torch.int64)
        confusion.index_put_((labels, predicted), torch.tensor(1), accumulate=True)
        return figures, confusion, nearest.index

    def _require_same_shape(self, source: ImageSource) -> None:
        height, width = self.train.height, self.train.width
        classes = len(source.class_names)
        if source.shape != (height, width) or classes != self.train.classes:
            raise EvaluationError(
                f"{source.name} generates {classes} classes of {source.shape[0]} x "
                f"{source.shape[1]} pixels, but {self.train.name} has {self.train.classes} classes "
                f"of {height} x {width} pixels; pass the --dataset that the model was trained on"
            )


def _statistics(sets: Sequence[dict[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean of each figure and, for more than one set, its standard deviation."""
    columns = {name: [each[name] for each in sets] for name in sets[0]}
    means = {name: statistics.mean(column) for name, column in columns.items()}
    if len(sets) == 1:
        return means, {}
    return means, {name: statistics.stdev(column) for name, column in columns.items()}


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figure, 4) for name, figure in figures.items()}


def _cycled(labels: Tensor, count: int) -> Tensor:
    """Repeat the labels up to count, which keeps their proportions."""
    return labels.repeat(-(-count // len(labels)))[:count]
