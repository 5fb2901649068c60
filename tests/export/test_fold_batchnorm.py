"""The pass that folds batch norm into the layer before it."""

import pytest
import torch
from torch import nn

from cgan_export.passes.fold_batchnorm import fold_batch_norm
from cgan_training.engine.batch_norm import calibrate_batch_norm
from cgan_training.networks import Generator, build_generator
from cgan_training.recipe import (
    ConvolutionalGeneratorSettings,
    GeneratorSettings,
    PerceptronGeneratorSettings,
)


@pytest.mark.parametrize(
    "settings",
    [
        PerceptronGeneratorSettings((12, 20), batch_norm=True),
        ConvolutionalGeneratorSettings(hidden=12, channels=5),
        PerceptronGeneratorSettings((12, 20)),
    ],
    ids=["perceptron", "convolutional", "without batch norm"],
)
def test_folded_layers_have_equal_outputs(settings: GeneratorSettings) -> None:
    torch.manual_seed(0)
    generator = build_generator(settings, 6, 4, (1, 8, 12))
    assert isinstance(generator, Generator)
    for layer in generator.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.5)
            nn.init.normal_(layer.bias, 0, 0.5)
    calibrate_batch_norm(generator, seed=1)
    before = [weight.clone() for weight in generator.state_dict().values()]
    folded = fold_batch_norm(generator.layers)
    assert not [each for each in folded if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)]
    noise = torch.randn(50, 10)
    torch.testing.assert_close(folded(noise), generator.layers(noise), rtol=1e-4, atol=1e-5)
    after = generator.state_dict().values()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "layers",
    [
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4)),
        nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4)),
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False)),
        nn.Sequential(nn.BatchNorm1d(3)),
    ],
    ids=["after an activation", "without bias", "without scale", "first"],
)
def test_batch_norm_that_does_not_match_stays(layers: nn.Sequential) -> None:
    folded = fold_batch_norm(layers.eval())
    assert [type(each) for each in folded] == [type(each) for each in layers]
    noise = torch.randn(5, 3)
    torch.testing.assert_close(folded(noise), layers(noise))
