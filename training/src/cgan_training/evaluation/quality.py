"""Quality metrics of generated images, computed in seconds with the evaluation classifier."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cgan_training.data import Dataset
from cgan_training.errors import DatasetError
from cgan_training.evaluation.classifier import EvaluationClassifier, predict_with_features
from cgan_training.evaluation.frechet import Gaussian, frechet_distance
from cgan_training.evaluation.neighbors import Neighborhood, measure_overlap

TOTAL_VARIANCE = 100.0  # Fréchet distances are scaled as if the test set had this variance
MIN_CLASS_IMAGES = 2  # smaller classes are omitted from the mean over the classes


@dataclass(frozen=True)
class Quality:
    """The quality metrics of a set of generated images."""

    label_accuracy: float  # share of images classified as the requested label, 0 to 1
    worst_label_accuracy: float  # label accuracy of the worst label
    frechet: float  # distance from the test set; its total variance is scaled to 100
    frechet_by_class: (
        float  # mean over the classes, on the same scale; NaN if no class has two images
    )
    frechet_train: float  # distance from the training set, on the same scale
    precision: float  # share of generated images in the ball of a real one, 0 to 1 (neighbors.py)
    recall: float  # share of real images in the ball of a generated one, 0 to 1
    density: float  # mean number of real balls around a generated image, divided by k
    coverage: float  # share of real balls that contain a generated image, 0 to 1


@dataclass(frozen=True)
class Reference:
    """The features of the real images that generated images are compared with."""

    test: Gaussian
    test_by_class: Mapping[int, Gaussian]  # by label, for classes with at least MIN_CLASS_IMAGES
    train: Gaussian
    neighborhood: Neighborhood  # the features of the test set
    scale: float  # factor of squared distances between features

    @classmethod
    def fit(cls, classifier: EvaluationClassifier, test: Dataset, train: Dataset) -> "Reference":
        """Compute the features of a test and a training set.

        Raises:
            DatasetError: the test set has fewer than two different images.
        """
        features = predict_with_features(classifier, test.images)[0]
        overall = Gaussian.fit(features)
        if not overall.total_variance:
            raise DatasetError(
                f"{test.source}: evaluation needs at least two different test images; add some"
            )
        return cls(
            test=overall,
            test_by_class=_fit_by_class(features, test.labels),
            train=Gaussian.fit(predict_with_features(classifier, train.images)[0]),
            neighborhood=Neighborhood.fit(features),
            scale=TOTAL_VARIANCE / overall.total_variance,
        )

    def measure(self, features: Tensor, predicted: Tensor, labels: Tensor) -> Quality:
        """Measure generated images, preferably as many as the test set and with its labels.

        Args:
            features: float32 [n, dim], n >= 2, from predict_with_features().
            predicted: int64 [n], the predicted labels from the same function.
            labels: int64 [n], the requested labels.
        """
        correct = (predicted == labels).double()
        by_label = [correct[labels == label].mean().item() for label in labels.unique()]
        overall, by_class = Gaussian.fit(features), _fit_by_class(features, labels)
        distances = [
            frechet_distance(by_class[label], self.test_by_class[label])
            for label in by_class.keys() & self.test_by_class.keys()
        ]
        return Quality(
            label_accuracy=correct.mean().item(),
            worst_label_accuracy=min(by_label),
            frechet=self.scale * frechet_distance(overall, self.test),
            frechet_by_class=self.scale * sum(distances) / len(distances)
            if distances
            else math.nan,
            frechet_train=self.scale * frechet_distance(overall, self.train),
            **measure_overlap(self.neighborhood, features),
        )


def _fit_by_class(features: Tensor, labels: Tensor) -> dict[int, Gaussian]:
    """Fit a Gaussian to the features of each class that has at least MIN_CLASS_IMAGES."""
    counts = enumerate(torch.bincount(labels).tolist())
    large = [label for label, count in counts if count >= MIN_CLASS_IMAGES]
    return {label: Gaussian.fit(features[labels == label]) for label in large}
