"""How good drawn images are, in a judge's eyes: the fast figures, for every epoch."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cgan_training.evaluation.classifier import EvaluationClassifier
from cgan_training.evaluation.frechet import Gaussian, frechet_distance
from cgan_training.evaluation.neighbors import Neighborhood, overlap

SCALE = 100.0  # what the total variance of the test set's features is made
BATCH = 1000
LEAST_OF_A_CLASS = 2  # images that a class must have to count in the mean over classes


@dataclass(frozen=True)
class Real:
    """What the judge sees in one real set."""

    whole: Gaussian
    by_class: Mapping[int, Gaussian]  # of the classes with enough images


@dataclass(frozen=True)
class Reference:
    """What drawn images are held against; made once, used often."""

    judge: EvaluationClassifier
    labels: Tensor  # int64 [n], the test set's
    test: Real
    train: Real
    neighbourhood: Neighborhood  # of the test set's features
    scale: float  # of squared distances in feature space

    @classmethod
    def of(
        cls, judge: EvaluationClassifier, test: tuple[Tensor, Tensor], train: tuple[Tensor, Tensor]
    ) -> "Reference":
        """Look at a test and a training set: each uint8 [n, 1, h, w] and int64 [n], n >= 2."""
        test_features, _ = classify_features(judge, test[0])
        train_features, _ = classify_features(judge, train[0])
        real = _real(test_features, test[1])
        return cls(
            judge=judge,
            labels=test[1],
            test=real,
            train=_real(train_features, train[1]),
            neighbourhood=Neighborhood.of(test_features),
            scale=SCALE / real.whole.total_variance,
        )

    def measure(self, images: Tensor, labels: Tensor) -> "Quality":
        """Measure drawn images, best as many as the test set has, and with its labels.

        Args:
            images: uint8 [n, 1, height, width], n >= 2.
            labels: int64 [n], what was asked for.
        """
        return self.compare(*classify_features(self.judge, images), labels)

    def compare(self, features: Tensor, read: Tensor, labels: Tensor) -> "Quality":
        """Measure drawn images that the judge has looked at.

        Args:
            features: of look(), float32 [n, dim], n >= 2.
            read: of look(), int64 [n].
            labels: int64 [n], what was asked for.
        """
        right = (read == labels).double()
        drawn, covers = _real(features, labels), overlap(self.neighbourhood, features)
        return Quality(
            label_accuracy=right.mean().item(),
            worst_label_accuracy=min(
                right[labels == label].mean().item() for label in labels.unique().tolist()
            ),
            frechet=self.scale * frechet_distance(drawn.whole, self.test.whole),
            frechet_by_class=self.scale * _mean_over_classes(drawn, self.test),
            frechet_train=self.scale * frechet_distance(drawn.whole, self.train.whole),
            precision=covers.precision,
            recall=covers.recall,
            density=covers.density,
            coverage=covers.coverage,
        )


@dataclass(frozen=True)
class Quality:
    """The figures of one set of images."""

    label_accuracy: float  # share that the judge reads as the label asked for, 0 .. 1
    worst_label_accuracy: float  # the same of the label that is drawn worst
    frechet: float  # distance from the test set, whose total variance is 100
    frechet_by_class: float  # mean over the classes, on the same scale
    frechet_train: float  # distance from the training set, on the same scale
    precision: float  # see neighbours.py, likewise the next three
    recall: float
    density: float
    coverage: float


def classify_features(judge: EvaluationClassifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the judge's features, float32 [n, dim], and the labels it reads, int64 [n].

    Args:
        judge: in eval mode.
        images: uint8 [n, 1, height, width] on any device; the answers are on the CPU.
    """
    device = judge.head.weight.device
    features, read = [], []
    with torch.inference_mode():
        for part in images.split(BATCH):
            seen = judge.features(part.to(device))
            features.append(seen.cpu())
            read.append(judge.head(seen).argmax(1).cpu())
    return torch.cat(features), torch.cat(read)


def _real(features: Tensor, labels: Tensor) -> Real:
    counts = torch.bincount(labels)
    chosen = [label for label, count in enumerate(counts.tolist()) if count >= LEAST_OF_A_CLASS]
    return Real(
        Gaussian.of(features), {label: Gaussian.of(features[labels == label]) for label in chosen}
    )


def _mean_over_classes(one: Real, other: Real) -> float:
    shared = one.by_class.keys() & other.by_class.keys()
    distances = [frechet_distance(one.by_class[each], other.by_class[each]) for each in shared]
    return sum(distances) / max(1, len(distances))
