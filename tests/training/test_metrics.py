import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cgan_training.data import Dataset, load_dataset
from cgan_training.evaluation import (
    EpochEvaluator,
    Gaussian,
    Neighborhood,
    Reference,
    classification_accuracy_score,
    controls,
    frechet_distance,
    memorization,
    nearest_training_images,
    overlap,
    parzen_log_likelihood,
)
from cgan_training.evaluation import classifier as judging
from cgan_training.evaluation.classifier import load_or_train_classifier
from cgan_training.evaluation.neighbors import K
from cgan_training.evaluation.parzen import SIGMAS
from cgan_training.networks import Generator
from cgan_training.recipe.schema import Recipe


@pytest.fixture(scope="module")
def held_out() -> Dataset:
    return load_dataset("optdigits", Path("nowhere"), train=False)[0]


@pytest.fixture(scope="module")
def reference(judge_cache: Path, held_out: Dataset, digits: Dataset) -> Reference:
    train = digits.images, digits.labels
    judge = load_or_train_classifier(*train, classes=10, cache_dir=judge_cache)
    return Reference.of(judge, (held_out.images, held_out.labels), (digits.images, digits.labels))


def test_frechet_distance_of_known_gaussians() -> None:
    one = Gaussian(torch.zeros(3).double(), torch.diag(torch.tensor([1.0, 4.0, 9.0])).double())
    other = Gaussian(
        torch.tensor([3.0, 0.0, 4.0]).double(), torch.diag(torch.tensor([4.0, 4.0, 0.0])).double()
    )
    # Commuting covariances: |m1 - m2|^2 + sum (s1 - s2)^2.
    assert frechet_distance(one, other) == pytest.approx(25 + 1 + 0 + 9)
    assert frechet_distance(other, one) == pytest.approx(35)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_takes_what_does_not_commute() -> None:
    from scipy.linalg import sqrtm

    random = torch.Generator().manual_seed(0)
    a, b = (Gaussian.of(torch.randn(40, 6, generator=random) * s + s) for s in (1.0, 2.0))
    root = sqrtm((a.covariance @ b.covariance).numpy()).real.trace()
    wanted = (a.mean - b.mean).square().sum() + a.total_variance + b.total_variance - 2 * root
    assert frechet_distance(a, b) == pytest.approx(wanted.item())


def test_a_gaussian_is_fitted_without_bias() -> None:
    points = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]])
    fitted = Gaussian.of(points)
    assert fitted.mean.tolist() == [2, 2]
    torch.testing.assert_close(fitted.covariance, points.double().T.cov())
    assert Gaussian.of(points[:1]).total_variance == 0


def naive_overlap(real: Tensor, drawn: Tensor) -> tuple[float, float, float, float]:
    def radius(points: Tensor, i: int) -> float:
        others = sorted(math.dist(points[i], each) for j, each in enumerate(points) if j != i)
        return others[K - 1]

    reach_real = [radius(real, i) for i in range(len(real))]
    reach_drawn = [radius(drawn, i) for i in range(len(drawn))]
    near = [[math.dist(d, r) for r in real] for d in drawn]
    inside = [[near[i][j] <= reach_real[j] for j in range(len(real))] for i in range(len(drawn))]
    return (
        sum(map(any, inside)) / len(drawn),
        sum(any(near[i][j] <= reach_drawn[i] for i in range(len(drawn))) for j in range(len(real)))
        / len(real),
        sum(map(sum, inside)) / K / len(drawn),
        sum(any(row[j] for row in inside) for j in range(len(real))) / len(real),
    )


def test_overlap_is_what_its_definition_says() -> None:
    random = torch.Generator().manual_seed(1)
    real = torch.randn(60, 3, generator=random)
    drawn = torch.randn(45, 3, generator=random) * 0.6 + 0.3
    found = overlap(Neighborhood.of(real), drawn)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(
        naive_overlap(real, drawn)
    )
    assert 0 < found.recall < found.precision <= 1


def test_a_lone_point_has_no_neighbours() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Neighborhood.of(torch.zeros(1, 3))


def test_parzen_finds_the_likelihood_of_a_known_density() -> None:
    random = torch.Generator().manual_seed(2)
    # One window at mid-grey, points around it: the density is a Gaussian of that sigma.
    sigma = SIGMAS[2]
    window = torch.full((1, 1, 4, 4), 127.5)
    noise = torch.randn((4000, 1, 4, 4), generator=random) * sigma * 255
    found = parzen_log_likelihood(window, (window + noise).clamp(0, 255))
    assert found.sigma == pytest.approx(sigma, rel=1e-3)
    wanted = -16 / 2 * (math.log(2 * math.pi * sigma**2) + 1)
    assert found.mean == pytest.approx(wanted, abs=5 * found.standard_error)
    assert found.standard_error == pytest.approx(math.sqrt(8 / 2000), rel=0.2)


def test_the_nearest_training_image_is_found(digits: Dataset) -> None:
    copied = torch.tensor([3, 700, 1200])
    near = nearest_training_images(
        digits.images[copied], digits.labels[copied], (digits.images, digits.labels)
    )
    assert near.index.tolist() == copied.tolist()
    assert near.distance.max() < 0.01


def test_a_generator_that_recalls_is_found_out(digits: Dataset, held_out: Dataset) -> None:
    train = (digits.images, digits.labels)
    new = nearest_training_images(held_out.images, held_out.labels, train)
    copies = nearest_training_images(digits.images[:300], digits.labels[:300], train)
    assert memorization(copies, new) == 1
    assert memorization(new, new) == pytest.approx(0.01, abs=0.005)


def test_controls_get_what_they_deserve(
    reference: Reference, digits: Dataset, held_out: Dataset
) -> None:
    labels = held_out.labels.repeat(4)
    sets: dict[str, Callable[[Tensor], Tensor]] = controls(
        (digits.images, digits.labels), 10, lambda wanted: digits.images[first_of(digits, wanted)]
    )
    real, noisy, repeated, wrong = (
        reference.measure(draw(labels), labels) for draw in sets.values()
    )
    assert real.label_accuracy > 0.97
    assert real.frechet_train < real.frechet
    assert noisy.frechet > 2 * real.frechet
    assert repeated.label_accuracy > 0.97  # perfectly obedient
    assert repeated.frechet > 3 * real.frechet  # and given away by this
    assert repeated.recall < 0.1 < real.recall
    assert repeated.coverage < real.coverage / 2
    assert wrong.label_accuracy < 0.03


def test_the_real_control_shows_every_image_before_any_twice(digits: Dataset) -> None:
    draw = controls((digits.images, digits.labels), 10, torch.zeros_like)["real training images"]
    drawn = draw(digits.labels)
    assert not torch.equal(drawn, digits.images)
    ordered = [
        images.flatten(1).unique(dim=0, return_counts=True) for images in (drawn, digits.images)
    ]
    for mine, theirs in zip(*ordered, strict=True):
        assert torch.equal(mine, theirs)


def first_of(data: Dataset, wanted: Tensor) -> Tensor:
    firsts = torch.stack([(data.labels == label).nonzero()[0, 0] for label in range(10)])
    return firsts[wanted]


def test_the_scale_makes_the_test_sets_variance_100(reference: Reference) -> None:
    assert reference.scale * reference.test.whole.total_variance == pytest.approx(100)


def test_the_test_set_is_at_no_distance_from_itself(
    reference: Reference, held_out: Dataset
) -> None:
    itself = reference.measure(held_out.images, held_out.labels)
    assert itself.frechet == pytest.approx(0, abs=1e-6)
    assert itself.frechet_by_class == pytest.approx(0, abs=1e-6)
    assert (itself.precision, itself.recall, itself.coverage) == (1, 1, 1)


def test_a_class_with_one_image_does_not_count_by_class(
    reference: Reference, held_out: Dataset
) -> None:
    few = torch.cat([(held_out.labels != 4).nonzero(), (held_out.labels == 4).nonzero()[:1]])[:, 0]
    measured = reference.measure(held_out.images[few], held_out.labels[few])
    assert measured.frechet_by_class == pytest.approx(0, abs=1e-6)


def test_cas_tells_a_full_set_from_a_poor_one(digits: Dataset, held_out: Dataset) -> None:
    test = (held_out.images, held_out.labels)
    full = classification_accuracy_score((digits.images, digits.labels), test, classes=10, epochs=5)
    repeated = digits.images[first_of(digits, digits.labels)]
    poor = classification_accuracy_score((repeated, digits.labels), test, classes=10, epochs=5)
    assert full > 0.9
    assert poor < full - 0.1


def test_the_meter_measures_a_generator_and_repeats_itself(
    small_recipe: Recipe, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "SETTINGS", replace(judging.SETTINGS, epochs=1, least_steps=10))
    meter = EpochEvaluator(digits, "optdigits", Path("nowhere"), tmp_path)
    generator = Generator(small_recipe.generator, 10, 10, 28, 28).eval()
    first = meter(generator)
    assert first == meter(generator)
    assert set(first) == set(asdict(meter._reference.measure(digits.images, digits.labels)))
    assert first["frechet"] > 10
