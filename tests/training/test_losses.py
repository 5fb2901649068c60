import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from cgan_training.losses import HingeLoss, LogisticLoss


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
