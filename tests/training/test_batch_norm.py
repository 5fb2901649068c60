"""The final statistics of batch norm."""

import copy

import pytest
import torch
from torch import nn

from cgan_training.engine.batch_norm import BATCH_SIZE, BATCHES, calibrate_batch_norm
from cgan_training.networks import build_generator
from cgan_training.recipe import PerceptronGeneratorSettings


@pytest.mark.parametrize("batch_norm", [True, False])
def test_calibration_is_reproducible_and_changes_no_weight(batch_norm: bool) -> None:
    settings = PerceptronGeneratorSettings(hidden=(16, 12), batch_norm=batch_norm)
    generator = build_generator(settings, 6, 4, (1, 5, 5))
    again, before = copy.deepcopy(generator), copy.deepcopy(dict(generator.named_parameters()))
    state = torch.get_rng_state()
    for each in (generator, again):
        calibrate_batch_norm(each, seed=3)
        assert not each.training
    assert torch.equal(state, torch.get_rng_state())
    for name, value in generator.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    for name, weight in generator.named_parameters():
        assert torch.equal(weight, before[name])


def test_batch_norm_gets_the_statistics_of_generated_images() -> None:
    torch.manual_seed(0)
    generator = build_generator(
        PerceptronGeneratorSettings(hidden=(16,), batch_norm=True), 6, 4, (1, 5, 5)
    )
    (norm,) = (each for each in generator.modules() if isinstance(each, nn.BatchNorm1d))
    with torch.no_grad():
        norm.running_mean.fill_(7)  # type: ignore[union-attr]
    calibrate_batch_norm(generator, seed=3)
    assert norm.momentum == 0.1
    count = BATCH_SIZE * BATCHES
    inputs = generator.inputs(torch.randn(count, 6), torch.randint(4, (count,)))
    activations = generator.layers[0](inputs)
    torch.testing.assert_close(norm.running_mean, activations.mean(0), rtol=0, atol=0.05)
    torch.testing.assert_close(norm.running_var, activations.var(0), rtol=0.1, atol=0)
