"""The quality metrics."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from cgan_training.data import Dataset, load_dataset
from cgan_training.data.spectrum import high_frequency_share
from cgan_training.errors import DatasetError
from cgan_training.evaluation.classifier import (
    EvaluationClassifier,
    classification_accuracy_score,
    load_or_train_classifier,
    predict_with_features,
)
from cgan_training.evaluation.controls import make_controls
from cgan_training.evaluation.epoch_evaluator import EpochEvaluator
from cgan_training.evaluation.frechet import Gaussian, frechet_distance
from cgan_training.evaluation.memorization import memorization_rate, nearest_training_images
from cgan_training.evaluation.neighbors import Neighborhood, measure_overlap
from cgan_training.evaluation.quality import Quality, Reference
from cgan_training.model_file import load_model

Measure = Callable[[Tensor, Tensor], Quality]


@pytest.fixture(scope="module")
def test_set() -> Dataset:
    return load_dataset("optdigits", Path("nowhere"), train=False)[0]


@pytest.fixture(scope="module")
def classifier(classifier_cache: Path, digits: Dataset) -> EvaluationClassifier:
    return load_or_train_classifier(digits, classifier_cache)


@pytest.fixture(scope="module")
def reference(classifier: EvaluationClassifier, test_set: Dataset, digits: Dataset) -> Reference:
    return Reference.fit(classifier, test_set, digits)


@pytest.fixture(scope="module")
def measure(reference: Reference, classifier: EvaluationClassifier) -> Measure:
    return lambda images, labels: reference.measure(
        *predict_with_features(classifier, images), labels
    )


def first_of_class(data: Dataset, labels: Tensor) -> Tensor:
    return torch.stack([(data.labels == label).nonzero()[0, 0] for label in range(10)])[labels]


def test_frechet_distance_of_diagonal_gaussians() -> None:
    one = Gaussian(torch.zeros(3).double(), torch.diag(torch.tensor([1.0, 4.0, 9.0])).double())
    other = Gaussian(
        torch.tensor([3.0, 0.0, 4.0]).double(), torch.diag(torch.tensor([4.0, 4.0, 0.0])).double()
    )
    # If the covariances commute, it is |m1 - m2|^2 + sum (s1 - s2)^2.
    assert frechet_distance(one, other) == pytest.approx(25 + 1 + 0 + 9)
    assert frechet_distance(other, one) == pytest.approx(35)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = (Gaussian.fit(torch.randn(40, 6, generator=rng) * s + s) for s in (1.0, 2.0))
    root = sqrtm((a.covariance @ b.covariance).numpy()).real.trace()
    expected = (a.mean - b.mean).square().sum() + a.total_variance + b.total_variance - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected.item())


def test_a_gaussian_is_fitted_without_bias() -> None:
    points = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]])
    fitted = Gaussian.fit(points)
    assert fitted.mean.tolist() == [2, 2]
    torch.testing.assert_close(fitted.covariance, points.double().T.cov())
    assert Gaussian.fit(points[:1]).total_variance == 0


def test_overlap_is_computed_from_the_fifth_neighbors() -> None:
    """The fifth neighbors of the real points 0..9 are 5, 4, 3, ..., 3, 4, 5 away."""
    real = torch.tensor([*range(10), 200.0])[:, None]
    generated = torch.tensor([0, 1, 2, 3, 4, 4.4, -300])[:, None]
    overlap = measure_overlap(Neighborhood.fit(real), generated)
    assert overlap["precision"] == pytest.approx(6 / 7)  # all but -300
    assert overlap["recall"] == pytest.approx(9 / 11)  # all but 9 and 200
    assert overlap["density"] == pytest.approx((4 + 5 + 6 + 7 + 10 + 10 + 0) / 5 / 7)
    assert overlap["coverage"] == pytest.approx(10 / 11)  # all but 200


def test_high_frequencies_are_those_of_a_checkerboard() -> None:
    flat, stripes, board = torch.full((3, 2, 1, 8, 12), 100, dtype=torch.uint8)
    stripes[..., ::2] += 50  # the highest frequency of one axis only
    board[..., ::2, ::2] += 50
    board[..., 1::2, 1::2] += 50
    assert high_frequency_share(flat) == 0
    assert high_frequency_share(stripes) == pytest.approx(0, abs=1e-12)
    assert high_frequency_share(board) == pytest.approx(1)
    mixed = torch.cat([stripes, board])  # with equal power
    assert high_frequency_share(mixed) == pytest.approx(0.5)


def test_a_single_point_has_no_neighbors() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Neighborhood.fit(torch.zeros(1, 3))


@pytest.mark.parametrize("indices", [[0], [0, 0, 0]])
def test_a_test_set_without_variety_is_rejected(
    classifier: EvaluationClassifier, test_set: Dataset, digits: Dataset, indices: list[int]
) -> None:
    same = replace(test_set, images=test_set.images[indices], labels=test_set.labels[indices])
    with pytest.raises(DatasetError, match="at least two different test images; add some"):
        Reference.fit(classifier, same, digits)


def test_memorization_distinguishes_copies_from_new_images(
    digits: Dataset, test_set: Dataset
) -> None:
    new = nearest_training_images(test_set.images, test_set.labels, digits)
    copies = nearest_training_images(digits.images[300:600], digits.labels[300:600], digits)
    assert copies.index.tolist() == list(range(300, 600))
    assert copies.distance.max() < 0.01
    assert memorization_rate(copies, new) == 1
    assert memorization_rate(new, new) == pytest.approx(0.01, abs=0.005)


def test_the_figures_reveal_the_faults_of_the_controls(
    measure: Measure, digits: Dataset, test_set: Dataset
) -> None:
    labels = test_set.labels.repeat(4)
    controls = make_controls(
        digits, lambda requested: digits.images[first_of_class(digits, requested)]
    )
    real, noisy, repeated, shifted = (
        measure(generate(labels), labels) for generate in controls.values()
    )
    assert real.label_accuracy > 0.97
    assert real.frechet_train < real.frechet
    assert noisy.frechet > 2 * real.frechet
    assert repeated.label_accuracy > 0.97  # the label accuracy alone misses the fault
    assert repeated.frechet > 3 * real.frechet
    assert repeated.recall < 0.1 < real.recall
    assert repeated.coverage < real.coverage / 2
    assert shifted.label_accuracy < 0.03


def test_the_real_control_uses_each_image_before_it_repeats_any(digits: Dataset) -> None:
    generate = make_controls(digits, torch.zeros_like)["real training images"]
    images = generate(digits.labels)
    assert not torch.equal(images, digits.images)
    assert torch.equal(
        images.flatten(1).unique(dim=0, return_counts=True)[1],
        digits.images.flatten(1).unique(dim=0, return_counts=True)[1],
    )


def test_the_test_set_has_variance_100_and_no_distance_from_itself(
    measure: Measure, reference: Reference, test_set: Dataset
) -> None:
    assert reference.scale * reference.test.total_variance == pytest.approx(100)
    quality = measure(test_set.images, test_set.labels)
    assert quality.frechet == pytest.approx(0, abs=1e-6)
    assert (quality.precision, quality.recall, quality.coverage) == (1, 1, 1)
    # The mean over the classes leaves out a class with a single image.
    is_four = test_set.labels == 4
    few = torch.cat([(~is_four).nonzero(), is_four.nonzero()[:1]])[:, 0]
    quality = measure(test_set.images[few], test_set.labels[few])
    assert quality.frechet_by_class == pytest.approx(0, abs=1e-6)


def test_cas_is_lower_for_images_without_variety(digits: Dataset, test_set: Dataset) -> None:
    images = digits.images[:, :, ::2, ::2]  # at half the size, to save time
    small_test = replace(test_set, images=test_set.images[:, :, ::2, ::2])
    varied, uniform = (
        classification_accuracy_score(generated, digits.labels, small_test, epochs=5)
        for generated in (images, images[first_of_class(digits, digits.labels)])
    )
    assert varied > 0.9
    assert uniform < varied - 0.1


def test_the_epoch_evaluator_measures_reproducibly(
    run_dir: Path, digits: Dataset, classifier_cache: Path, measure: Measure
) -> None:
    evaluate = EpochEvaluator(digits, "optdigits", Path("nowhere"), classifier_cache)
    generator = load_model(run_dir).generator
    figures = evaluate(generator)
    assert figures == evaluate(generator)
    assert list(figures) == list(Quality.__dataclass_fields__)
    assert figures["frechet"] > 10 > measure(digits.images, digits.labels).frechet
