"""Feature maps whose channels differ in size are scaled before quantization."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from cgan_export.int8 import quantization
from cgan_export.int8.equalization import equalize
from cgan_export.int8.quantization import noise_and_labels, quantize
from cgan_export.tracing.networks import RewrittenGenerator
from cgan_training.networks import build_generator
from cgan_training.recipe import ConvolutionalGeneratorSettings


@pytest.fixture(scope="module")
def module() -> RewrittenGenerator:
    """A generator with a pixel shuffle inside, and with channels of very different sizes."""
    torch.manual_seed(3)
    settings = ConvolutionalGeneratorSettings(
        hidden=16, channels=8, convolutions=1, finer_channels=(6,)
    )
    contract = RewrittenGenerator(build_generator(settings, 10, 3, (3, 16, 16))).eval()
    layers = [layer for layer in contract.rest if isinstance(layer, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        for before, after in pairwise(layers):
            assert isinstance(after, nn.Conv2d)
            group = len(before.weight) // after.in_channels
            before.weight[:group] *= 100
            after.weight[:, 0] /= 100
        layers[-1].weight *= 20
    return contract


@torch.no_grad()
def images(module: RewrittenGenerator) -> torch.Tensor:
    generated: torch.Tensor = module(*noise_and_labels(module, 60))
    return generated / module.span * 255


@torch.no_grad()
def test_scaling_keeps_the_images(module: RewrittenGenerator) -> None:
    scaled = copy.deepcopy(module)
    limits = equalize(scaled.rest, scaled.hidden(*noise_and_labels(scaled, 30)))
    assert len(limits) == sum(isinstance(layer, nn.Conv2d) for layer in scaled.rest)
    torch.testing.assert_close(images(scaled), images(module), atol=0.01, rtol=0)


def test_equalization_reduces_the_error_of_small_channels(
    module: RewrittenGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = images(module)

    def mean_error() -> float:
        generated = quantize(module).generate(*noise_and_labels(module, 60))
        return (generated - expected).abs().mean().item()

    equalized = mean_error()
    monkeypatch.setattr(quantization, "equalize", lambda _layers, _state: {})
    assert equalized < 0.5 * mean_error()


@torch.no_grad()
def test_the_inputs_of_linear_layers_stay_as_they_are() -> None:
    layers = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    weights = [tensor.clone() for tensor in layers.parameters()]
    assert equalize(layers, torch.rand(8, 4)) == {}
    assert all(map(torch.equal, weights, layers.parameters()))
