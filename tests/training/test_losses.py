"""Adversarial losses, auxiliary terms and the gradient penalty."""

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cgan_training.losses import GeneratorInputs, adversarial_loss, auxiliary_terms, r1_penalty
from cgan_training.networks import Discriminator, DiscriminatorOutput, build_discriminator
from cgan_training.recipe import (
    ConvolutionalDiscriminatorSettings,
    DiscriminatorSettings,
    HingeLossSettings,
    LogisticLossSettings,
    PerceptronDiscriminatorSettings,
)

LOGISTIC, HINGE = adversarial_loss(LogisticLossSettings()), adversarial_loss(HingeLossSettings())


def test_the_logistic_loss_is_binary_cross_entropy() -> None:
    real = torch.tensor([-30.0, -0.4, 0.7, 25.0])
    fake, ones = torch.tensor([-3.0, 0.3, 2.0, 40.0]), torch.ones(4)
    expected = binary_cross_entropy_with_logits(fake, ones)
    torch.testing.assert_close(LOGISTIC.generator_loss(fake), expected)
    both = binary_cross_entropy_with_logits(real, ones)
    both += binary_cross_entropy_with_logits(fake, 0 * ones)
    torch.testing.assert_close(LOGISTIC.discriminator_loss(real, fake), both / 2)


def test_the_hinge_loss_ignores_logits_beyond_the_margin() -> None:
    far, near = torch.tensor([5.0, 1.0]), torch.tensor([0.5, -2.0])
    assert HINGE.discriminator_loss(far, -far).item() == 0
    assert HINGE.discriminator_loss(near, -far).item() == pytest.approx((0.5 + 3) / 2 / 2)
    assert HINGE.generator_loss(near).item() == pytest.approx(0.75)


def test_auxiliary_terms_with_a_weight_fade_to_zero() -> None:
    assert auxiliary_terms(LogisticLossSettings(), 8, 2, 3) == []
    both = LogisticLossSettings(classification_weight=4.0, noise_reconstruction_weight=2.0)
    terms = auxiliary_terms(both, 8, 2, 3)
    assert [term(torch.zeros(5, 8)).shape for term in terms] == [(5, 2), (5, 3)]
    for progress, weights in ((0.0, [4, 2]), (0.75, [1, 0.5]), (1.0, [0, 0])):
        assert [term.weight_at(progress) for term in terms] == weights


def test_the_classification_term_is_a_cross_entropy() -> None:
    (term,) = auxiliary_terms(LogisticLossSettings(classification_weight=4.0), 8, 2, 3)
    right, wrong = [0.0, math.log(3)], [0.0, -math.log(3)]
    zero = torch.zeros(1, dtype=torch.int64)
    inputs = GeneratorInputs(torch.zeros(1, 3), zero)
    loss = term.generator_loss(torch.tensor([wrong]), inputs)
    assert loss.item() == pytest.approx(math.log(4 / 3))
    # Only the real half counts for the discriminator.
    loss = term.discriminator_loss(torch.tensor([right, right]), zero + 1, inputs)
    assert loss.item() == pytest.approx(math.log(4 / 3) / 2)


def test_the_noise_reconstruction_term_is_a_squared_error() -> None:
    (term,) = auxiliary_terms(LogisticLossSettings(noise_reconstruction_weight=4.0), 8, 2, 2)
    label = torch.zeros(2, dtype=torch.int64)
    inputs = GeneratorInputs(torch.tensor([[1.0, 1.0], [0.0, -2.0]]), label)
    prediction = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
    assert term.generator_loss(prediction, inputs).item() == (1 + 4 + 1) / 4
    # Only the generated half counts for the discriminator.
    both = torch.cat([torch.full((2, 2), 99.0), prediction])
    assert term.discriminator_loss(both, label, inputs).item() == (1 + 4 + 1) / 4 / 2


class Quadratic(Discriminator):
    """The logit is half the weighted square of the image: its gradient is weight * image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(3.0))

    def forward(
        self, image: Tensor, label: Tensor, groups: int = 1, progress: float | Tensor = 0.0
    ) -> DiscriminatorOutput:
        del label, groups, progress
        return DiscriminatorOutput(self.weight * image.square().flatten(1).sum(1) / 2, None)


def test_r1_is_half_the_mean_squared_gradient() -> None:
    discriminator, image = Quadratic(), torch.randn(4, 1, 3, 3)
    penalty = r1_penalty(discriminator, image, torch.zeros(4, dtype=torch.int64))
    expected = image.square().sum() / 4 / 2
    torch.testing.assert_close(penalty, 9 * expected)
    penalty.backward()
    torch.testing.assert_close(discriminator.weight.grad, 2 * 3 * expected)


@pytest.mark.parametrize(
    "settings",
    [
        ConvolutionalDiscriminatorSettings((4, 4, 6), 8, minibatch_stddev=True),
        PerceptronDiscriminatorSettings((16, 8), 0.2),
    ],
    ids=["convolutional", "perceptron"],
)
def test_r1_has_accurate_gradients_for_every_discriminator(settings: DiscriminatorSettings) -> None:
    torch.manual_seed(0)
    discriminator = build_discriminator(settings, 3, (1, 8, 8)).train()
    with torch.no_grad():
        for weight in discriminator.parameters():
            weight.mul_(3)  # an untrained network is almost flat
            if not weight.ndim:
                weight.fill_(2)
    exact = copy.deepcopy(discriminator).double()
    image, label = torch.randn(5, 1, 8, 8), torch.arange(5) % 3
    r1_penalty(discriminator, image, label).backward()
    r1_penalty(exact, image.double(), label).backward()
    for weight, reference in zip(discriminator.parameters(), exact.parameters(), strict=True):
        if reference.grad is None:  # the last bias
            assert weight.grad is None or not weight.grad.any()
        else:
            torch.testing.assert_close(weight.grad, reference.grad.float(), rtol=1e-3, atol=1e-6)
    assert next(exact.parameters()).grad.abs().max() > 1e-4  # type: ignore[union-attr]
