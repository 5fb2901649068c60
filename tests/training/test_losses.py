import copy
import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from cgan_training.losses import HingeLoss, LogisticLoss, r1_penalty
from cgan_training.networks import (
    ConvolutionalDiscriminator,
    Discriminator,
    DiscriminatorOutput,
    PerceptronDiscriminator,
)


@pytest.fixture
def on_real() -> torch.Tensor:
    return torch.tensor([-30.0, -0.4, 0.7, 25.0])


@pytest.fixture
def on_fake() -> torch.Tensor:
    return torch.tensor([-3.0, 0.3, 2.0, 40.0])


def test_logistic_loss_is_binary_cross_entropy(
    on_real: torch.Tensor, on_fake: torch.Tensor
) -> None:
    loss, ones = LogisticLoss(), torch.ones(4)
    wanted = binary_cross_entropy_with_logits(on_fake, ones)
    torch.testing.assert_close(loss.of_generator(on_fake), wanted)
    both = binary_cross_entropy_with_logits(on_real, ones) + binary_cross_entropy_with_logits(
        on_fake, 0 * ones
    )
    torch.testing.assert_close(loss.of_discriminator(on_real, on_fake), both / 2)


def test_an_undecided_discriminator_has_a_logistic_loss_of_ln_2() -> None:
    undecided = torch.zeros(5)
    assert LogisticLoss().of_generator(undecided).item() == pytest.approx(math.log(2))
    assert LogisticLoss().of_discriminator(undecided, undecided).item() == pytest.approx(
        math.log(2)
    )


def test_hinge_loss_forgives_what_is_beyond_the_margin() -> None:
    loss = HingeLoss()
    far, near = torch.tensor([5.0, 1.0]), torch.tensor([0.5, -2.0])
    assert loss.of_discriminator(far, -far).item() == 0
    assert loss.of_discriminator(near, -far).item() == pytest.approx((0.5 + 3) / 2 / 2)
    assert loss.of_generator(near).item() == pytest.approx(0.75)


def test_reading_counts_less_and_less() -> None:
    reading, label = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]]), torch.tensor([0, 1])
    wanted = (math.log(2) + math.log(4 / 3)) / 2
    loss = LogisticLoss(classify=4.0)
    assert loss.of_reading(reading, label, 0.0).item() == pytest.approx(4 * wanted)
    assert loss.of_reading(reading, label, 0.75).item() == pytest.approx(wanted)
    assert loss.of_reading(reading, label, 1.0).item() == 0


def test_reading_noise_counts_less_and_less() -> None:
    reading, noise = (
        torch.tensor([[0.0, 1.0], [2.0, -1.0]]),
        torch.tensor([[1.0, 1.0], [0.0, -2.0]]),
    )
    loss = LogisticLoss(read_noise=4.0)
    assert loss.of_noise(reading, noise, 0.0).item() == pytest.approx(4 * (1 + 4 + 1) / 4)
    assert loss.of_noise(reading, noise, 0.75).item() == pytest.approx((1 + 4 + 1) / 4)
    assert loss.of_noise(reading, noise, 1.0).item() == 0


class Quadratic(Discriminator):
    """Its logit is half the weighted square of the image, so its gradient is weight * image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(3.0))

    def forward(
        self, image: torch.Tensor, label: torch.Tensor, sets: int = 1
    ) -> DiscriminatorOutput:
        del label, sets
        return DiscriminatorOutput(self.weight * image.square().flatten(1).sum(1) / 2)


def test_r1_is_half_the_mean_squared_gradient() -> None:
    discriminator, image = Quadratic(), torch.randn(4, 1, 3, 3)
    penalty = r1_penalty(discriminator, image, torch.zeros(4, dtype=torch.int64))
    wanted = image.square().sum() / 4 / 2
    torch.testing.assert_close(penalty, 9 * wanted)
    penalty.backward()
    torch.testing.assert_close(discriminator.weight.grad, 2 * 3 * wanted)


@pytest.mark.parametrize(
    "settings",
    [
        ConvolutionalDiscriminator((4, 4, 6), 8),
        ConvolutionalDiscriminator((4, 4, 6), 8, minibatch_deviation=True),
        PerceptronDiscriminator((16, 8), 0.2),
    ],
    ids=["convolutional", "comparing", "perceptron"],
)
def test_r1_reaches_every_discriminators_weights(
    settings: ConvolutionalDiscriminator | PerceptronDiscriminator,
) -> None:
    torch.manual_seed(0)
    discriminator = settings.network(3, 8, 8).train()
    with torch.no_grad():
        for weight in discriminator.parameters():
            weight.mul_(3)  # an untrained network is all but flat
            if not weight.ndim:
                weight.fill_(2)
    exact = copy.deepcopy(discriminator).double()
    image, label = torch.randn(5, 1, 8, 8), torch.arange(5) % 3
    r1_penalty(discriminator, image, label).backward()
    r1_penalty(exact, image.double(), label).backward()
    for mine, theirs in zip(discriminator.parameters(), exact.parameters(), strict=True):
        if theirs.grad is None:  # the last bias
            assert mine.grad is None or not mine.grad.any()
        else:
            torch.testing.assert_close(mine.grad, theirs.grad.float(), rtol=1e-3, atol=1e-6)
    assert next(exact.parameters()).grad.abs().max() > 1e-4  # type: ignore[union-attr]
