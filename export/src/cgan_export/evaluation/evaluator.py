"""What `cgan-eval` measures."""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgan_export.errors import EvaluationError
from cgan_export.evaluation.image_sources import ImageSource
from cgan_training.data import Dataset, load_dataset
from cgan_training.evaluation import (
    Reference,
    classification_accuracy_score,
    classify_features,
    memorization,
    nearest_training_images,
    parzen_log_likelihood,
)
from cgan_training.evaluation.classifier import label_accuracy, load_or_train_classifier

MOST_IMAGES, LEAST_IMAGES = 10_000, 1_000  # drawn: in between, as many as the test set has
LEAST_CAS_IMAGES = 10_000  # drawn for that: as many as the training set has, or so many


@dataclass(frozen=True)
class Evaluation:
    """Every figure of one drawer, with what its pictures need."""

    name: str
    figures: dict[str, float]  # by name, in the order of the table; the mean over the sets drawn
    deviations: dict[str, float]  # standard deviation of those between sets; none of a single set
    accuracy_by_label: tuple[float, ...]  # over all sets, like the confusion
    confusion: list[list[int]]  # [asked][read], of the judge
    images: Tensor  # uint8 [n, 1, height, width], the first set
    labels: Tensor  # int64 [n]
    nearest: Tensor  # int64 [n], index of the nearest training image

    def to_dict(self) -> dict[str, Any]:
        """Return what --json prints."""
        return {
            "model": self.name,
            "figures": self.figures,
            "deviations": self.deviations,
            "accuracy_by_label": list(self.accuracy_by_label),
            "confusion": self.confusion,
        }


class Evaluator:
    """Holds the real data and the judge, and measures drawers.

    Args:
        dataset: a data set's name, or a folder's path.
        data_dir: torchvision's root.
        cache_dir: where the judge is kept; at first use training it takes some minutes.
        say: told what takes long, a line at a time.

    Raises:
        cgan_training.errors.TrainingError: the data cannot be had, or the cache not written.
    """

    def __init__(
        self, dataset: str, data_dir: Path, cache_dir: Path, say: Callable[[str], None]
    ) -> None:
        self._say = say
        self.train: Dataset = load_dataset(dataset, data_dir)[0]
        self.test: Dataset = load_dataset(dataset, data_dir, train=False)[0]
        say(f"the judge of {self.train.name}: trained at first use, in some minutes")
        self.judge = load_or_train_classifier(
            self.train.images, self.train.labels, classes=self.train.classes, cache_dir=cache_dir
        )
        self.judge_accuracy = label_accuracy(self.judge, self.test.images, self.test.labels)
        say(f"it reads {self.judge_accuracy:.2%} of the real test set")
        self.reference = Reference.of(
            self.judge,
            (self.test.images, self.test.labels),
            (self.train.images, self.train.labels),
        )
        self._held_out = nearest_training_images(
            self.test.images, self.test.labels, (self.train.images, self.train.labels)
        )

    def evaluate(self, drawer: ImageSource, *, quick: bool = False, draws: int = 1) -> Evaluation:
        """Measure a drawer.

        Args:
            drawer: what draws.
            quick: leave out the figures that take minutes: cas and parzen.
            draws: how many sets of images are drawn and measured, 1 or more; cas and parzen are
                measured once, the pictures are of the first set.

        Raises:
            EvaluationError: it draws images of another size, or of other classes.
        """
        self._require_fit(drawer)
        count = max(LEAST_IMAGES, min(MOST_IMAGES, len(self.test.labels)))
        times = "" if draws == 1 else f"{draws} times "
        self._say(f"drawing {times}{count:,} images with {drawer.name}")
        labels = _cycled(self.test.labels, count)
        images = drawer.draw(labels.repeat(draws)).split(count)  # each of noise of its own
        sets = [self._measure(each, labels) for each in images]
        figures, deviations = _mean([each.figures for each in sets])
        confusion = torch.stack([each.confusion for each in sets]).sum(0)
        accuracy_by_label = confusion.diagonal() / confusion.sum(1)
        figures["worst_label_accuracy"] = accuracy_by_label.nan_to_num(1.0).min().item()
        if not quick:
            self._say("training a classifier on drawn images alone")
            count = max(LEAST_CAS_IMAGES, len(self.train.labels))
            wanted = _cycled(self.train.labels, count)
            figures["cas"] = classification_accuracy_score(
                (drawer.draw(wanted), wanted),
                (self.test.images, self.test.labels),
                classes=self.train.classes,
            )
            likelihood = parzen_log_likelihood(images[0], self.test.images)
            figures["parzen"] = likelihood.mean
            figures["parzen_error"] = likelihood.standard_error
        return Evaluation(
            name=drawer.name,
            figures=_rounded(figures),
            deviations=_rounded(deviations),
            accuracy_by_label=tuple(round(each, 4) for each in accuracy_by_label.tolist()),
            confusion=confusion.tolist(),
            images=images[0],
            labels=labels,
            nearest=sets[0].nearest,
        )

    def _measure(self, images: Tensor, labels: Tensor) -> "_Set":
        features, read = classify_features(self.judge, images)
        figures = asdict(self.reference.compare(features, read, labels))
        near = nearest_training_images(images, labels, (self.train.images, self.train.labels))
        figures["memorised"] = memorization(near, self._held_out)
        confusion = torch.zeros(2 * (self.train.classes,), dtype=torch.int64)
        confusion.index_put_((labels, read), torch.tensor(1), accumulate=True)
        return _Set(figures, confusion, near.index)

    def _require_fit(self, drawer: ImageSource) -> None:
        shape = (self.train.height, self.train.width)
        if drawer.shape != shape or len(drawer.class_names) != self.train.classes:
            raise EvaluationError(
                f"{drawer.name} draws {len(drawer.class_names)} classes of "
                f"{drawer.shape[0]} x {drawer.shape[1]} pixels, {self.train.name} has "
                f"{self.train.classes} of {shape[0]} x {shape[1]}; give the --dataset it learnt"
            )


@dataclass(frozen=True)
class _Set:
    """What one set of drawn images shows."""

    figures: dict[str, float]
    confusion: Tensor  # int64 [asked, read]
    nearest: Tensor  # int64 [n]


def _mean(sets: list[dict[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return each figure's mean, and where there are several sets its standard deviation."""
    columns = {name: [each[name] for each in sets] for name in sets[0]}
    means = {name: statistics.mean(column) for name, column in columns.items()}
    if len(sets) == 1:
        return means, {}
    return means, {name: statistics.stdev(column) for name, column in columns.items()}


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figure, 4) for name, figure in figures.items()}


def _cycled(labels: Tensor, count: int) -> Tensor:
    """Return so many labels in the proportions of a set's own."""
    return labels.repeat(-(-count // len(labels)))[:count]
