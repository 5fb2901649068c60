import copy

import pytest
import torch
from torch import nn

from cgan_training.engine.batch_norm import BATCH_SIZE, BATCHES, calibrate_batch_norm
from cgan_training.networks import Generator, build_generator
from cgan_training.recipe import PerceptronGenerator


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return build_generator(PerceptronGenerator(hidden=(16, 12), batch_norm=True), 6, 4, 5, 5)


def test_batch_norm_gets_the_statistics_of_generated_images(generator: Generator) -> None:
    norm = next(each for each in generator.modules() if isinstance(each, nn.BatchNorm1d))
    with torch.no_grad():
        norm.running_mean.fill_(7)  # type: ignore[union-attr]
    calibrate_batch_norm(generator, seed=3)
    assert not generator.training
    assert norm.momentum == 0.1
    count = BATCH_SIZE * BATCHES
    inputs = generator.inputs(torch.randn(count, 6), torch.randint(4, (count,)))
    activations = generator.layers[0](inputs)
    torch.testing.assert_close(norm.running_mean, activations.mean(0), rtol=0, atol=0.05)
    torch.testing.assert_close(norm.running_var, activations.var(0), rtol=0.1, atol=0)


def test_calibration_is_reproducible_and_changes_no_weight(generator: Generator) -> None:
    again, before = copy.deepcopy(generator), copy.deepcopy(dict(generator.named_parameters()))
    state = torch.get_rng_state()
    calibrate_batch_norm(generator, seed=3)
    calibrate_batch_norm(again, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    for name, value in generator.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    for name, weight in generator.named_parameters():
        assert torch.equal(weight, before[name])


def test_a_generator_without_batch_norm_does_not_change() -> None:
    generator = build_generator(PerceptronGenerator(hidden=(16,)), 6, 4, 5, 5)
    before = copy.deepcopy(generator.state_dict())
    calibrate_batch_norm(generator, seed=3)
    assert not generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
