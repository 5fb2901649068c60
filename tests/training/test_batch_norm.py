import copy

import pytest
import torch
from torch import nn

from cgan_training.engine.batch_norm import BATCH, BATCHES, calibrate_batch_norm, warmed_up
from cgan_training.networks import Generator, PerceptronGenerator


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(PerceptronGenerator(hidden=(16, 12), batch_norm=True), 6, 4, 5, 5)


def test_an_average_forgets_its_start_first() -> None:
    assert [warmed_up(0.99, step) for step in (1, 9, 891, 10_000)] == [0.1, 0.5, 0.99, 0.99]


def test_batch_norm_is_measured_on_what_the_generator_draws(generator: Generator) -> None:
    norm = next(each for each in generator.modules() if isinstance(each, nn.BatchNorm1d))
    with torch.no_grad():
        norm.running_mean.fill_(7)  # type: ignore[union-attr]
    calibrate_batch_norm(generator, seed=3)
    assert not generator.training
    assert norm.momentum == 0.1
    noise, label = torch.randn(BATCH * BATCHES, 6), torch.randint(4, (BATCH * BATCHES,))
    one_hot = nn.functional.one_hot(label, 4).float()
    reached = generator.layers[0](torch.cat([noise, one_hot], dim=1))
    torch.testing.assert_close(norm.running_mean, reached.mean(0), rtol=0, atol=0.05)
    torch.testing.assert_close(norm.running_var, reached.var(0), rtol=0.1, atol=0)


def test_the_same_seed_measures_the_same_and_moves_no_weight(generator: Generator) -> None:
    again, before = copy.deepcopy(generator), copy.deepcopy(dict(generator.named_parameters()))
    state = torch.get_rng_state()
    calibrate_batch_norm(generator, seed=3)
    calibrate_batch_norm(again, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    for name, value in generator.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    for name, weight in generator.named_parameters():
        assert torch.equal(weight, before[name])


def test_a_generator_without_batch_norm_stays_as_it_is() -> None:
    generator = Generator(PerceptronGenerator(hidden=(16,)), 6, 4, 5, 5)
    before = copy.deepcopy(generator.state_dict())
    calibrate_batch_norm(generator, seed=3)
    assert not generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
