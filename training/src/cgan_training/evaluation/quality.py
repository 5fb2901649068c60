"""The fast quality figures of generated images, based on the evaluation classifier."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from cgan_training.evaluation.classifier import EvaluationClassifier, predict_with_features
from cgan_training.evaluation.frechet import Gaussian, frechet_distance
from cgan_training.evaluation.neighbors import Neighborhood, measure_overlap

TOTAL_VARIANCE = 100.0  # Fréchet distances are scaled so that the test set's features have it
MIN_CLASS_IMAGES = 2  # smaller classes do not count in the mean over the classes


@dataclass(frozen=True)
class FeatureStatistics:
    """Gaussians fitted to the features of a set of images."""

    overall: Gaussian
    by_class: Mapping[int, Gaussian]  # of the classes with at least MIN_CLASS_IMAGES

    @classmethod
    def fit(cls, features: Tensor, labels: Tensor) -> "FeatureStatistics":
        """Fit them to features, float32 [n, dim], of images with labels, int64 [n]."""
        counts = torch.bincount(labels).tolist()
        large = [label for label, count in enumerate(counts) if count >= MIN_CLASS_IMAGES]
        by_class = {label: Gaussian.fit(features[labels == label]) for label in large}
        return cls(Gaussian.fit(features), by_class)


@dataclass(frozen=True)
class Reference:
    """The real images that generated images are compared with."""

    classifier: EvaluationClassifier
    test: FeatureStatistics
    train: FeatureStatistics
    neighborhood: Neighborhood  # of the test set's features
    scale: float  # factor of squared distances between features

    @classmethod
    def from_datasets(
        cls,
        classifier: EvaluationClassifier,
        test: tuple[Tensor, Tensor],
        train: tuple[Tensor, Tensor],
    ) -> "Reference":
        """Compute it from a test and a training set: uint8 [n, 1, h, w] and int64 [n], n >= 2."""
        test_features, _ = predict_with_features(classifier, test[0])
        train_features, _ = predict_with_features(classifier, train[0])
        statistics = FeatureStatistics.fit(test_features, test[1])
        return cls(
            classifier=classifier,
            test=statistics,
            train=FeatureStatistics.fit(train_features, train[1]),
            neighborhood=Neighborhood.fit(test_features),
            scale=TOTAL_VARIANCE / statistics.overall.total_variance,
        )

    def measure(self, images: Tensor, labels: Tensor) -> "Quality":
        """Measure generated images, preferably as many as the test set and with its labels.

        Args:
            images: uint8 [n, 1, height, width], n >= 2.
            labels: int64 [n], the requested labels.
        """
        return self.measure_features(*predict_with_features(self.classifier, images), labels)

    def measure_features(self, features: Tensor, predicted: Tensor, labels: Tensor) -> "Quality":
        """Measure generated images by the results of predict_with_features().

        Args:
            features: float32 [n, dim], n >= 2.
            predicted: int64 [n], the predicted labels.
            labels: int64 [n], the requested labels.
        """
        correct = (predicted == labels).double()
        generated = FeatureStatistics.fit(features, labels)
        return Quality(
            label_accuracy=correct.mean().item(),
            worst_label_accuracy=min(
                correct[labels == label].mean().item() for label in labels.unique().tolist()
            ),
            frechet=self.scale * frechet_distance(generated.overall, self.test.overall),
            frechet_by_class=self.scale * _mean_over_classes(generated, self.test),
            frechet_train=self.scale * frechet_distance(generated.overall, self.train.overall),
            **asdict(measure_overlap(self.neighborhood, features)),
        )


@dataclass(frozen=True)
class Quality:
    """The quality figures of a set of generated images."""

    label_accuracy: float  # share of images classified as the requested label, 0 to 1
    worst_label_accuracy: float  # label accuracy of the worst label
    frechet: float  # distance from the test set, whose features have total variance 100
    frechet_by_class: float  # mean distance over the classes, on the same scale
    frechet_train: float  # distance from the training set, on the same scale
    precision: float  # this and the following are explained in neighbors.py
    recall: float
    density: float
    coverage: float


def _mean_over_classes(one: FeatureStatistics, other: FeatureStatistics) -> float:
    shared = one.by_class.keys() & other.by_class.keys()
    distances = [frechet_distance(one.by_class[each], other.by_class[each]) for each in shared]
    return sum(distances) / max(1, len(distances))
