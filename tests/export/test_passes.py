"""Each pass rewrites the layers that it matches and leaves others unchanged."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, spectral_norm

from cgan_export.passes.label_table import split_first_layer
from cgan_export.passes.parametrizations import compute_weights
from cgan_export.passes.sigmoid_head import double_last_layer
from cgan_export.tracing.decompositions import decompose

NOISE = torch.linspace(-2, 2, 15).view(3, 5)


@pytest.mark.parametrize("bias", [True, False])
def test_the_label_table_replaces_the_one_hot_vector(bias: bool) -> None:
    layer = nn.Linear(5 + 4, 6, bias=bias)
    split = split_first_layer(layer, 5, 4)
    assert split is not None
    weight, table = split
    label = torch.tensor([0, 3, 1])
    expected = layer(torch.cat([NOISE, functional.one_hot(label, 4)], 1))
    torch.testing.assert_close(NOISE @ weight + table[label], expected)


def test_the_label_table_of_a_generator_without_a_condition_holds_the_bias() -> None:
    layer = nn.Linear(5, 6)
    split = split_first_layer(layer, 5, 4)
    assert split is not None
    weight, table = split
    assert table.shape == (4, 6)
    torch.testing.assert_close(NOISE @ weight + table[[0, 3, 1]], layer(NOISE))


def test_the_label_table_leaves_other_layers_unchanged() -> None:
    assert split_first_layer(nn.Sequential(nn.Linear(9, 6)), 5, 4) is None


@pytest.mark.parametrize(
    "layers",
    [
        nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 8), nn.Unflatten(1, (2, 2, 2))),
        nn.Sequential(nn.Linear(5, 16), nn.Unflatten(1, (4, 2, 2)), nn.Conv2d(4, 4, 1)),
    ],
    ids=["linear", "convolution"],
)
def test_the_sigmoid_head_doubles_the_last_layer(layers: nn.Sequential) -> None:
    expected = (torch.tanh(layers(NOISE)) + 1) / 2
    assert double_last_layer(layers)
    torch.testing.assert_close(torch.sigmoid(layers(NOISE)), expected)


@pytest.mark.parametrize("last", [nn.ReLU(), nn.BatchNorm1d(5), nn.Bilinear(5, 5, 5)], ids=repr)
def test_the_sigmoid_head_leaves_other_last_layers_unchanged(last: nn.Module) -> None:
    first = nn.Linear(5, 5)
    before = first.weight.clone()
    assert not double_last_layer(nn.Sequential(first, last))
    assert torch.equal(first.weight, before)
    assert not double_last_layer(nn.Sequential())


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "norm",
    [
        parametrizations.spectral_norm,
        parametrizations.weight_norm,
        spectral_norm,
        nn.utils.weight_norm,
    ],
    ids=lambda norm: f"{norm.__module__}.{norm.__name__}",
)
def test_computed_weights_become_plain_ones(norm: Callable[[nn.Module], nn.Module]) -> None:
    layers: nn.Sequential = nn.Sequential(norm(nn.Linear(5, 6)), nn.ReLU())
    layers(NOISE)
    expected = layers.eval()(NOISE)
    compute_weights(layers)
    torch.testing.assert_close(layers(NOISE), expected)
    assert not parametrize.is_parametrized(layers[0])
    assert not layers[0]._forward_pre_hooks
    assert {name for name, _ in layers[0].named_parameters()} == {"weight", "bias"}


def test_a_limited_embedding_becomes_a_plain_one() -> None:
    embedding = nn.Embedding(4, 5, max_norm=1.0)
    limited = copy.deepcopy(embedding)
    compute_weights(limited)
    assert limited.max_norm is None
    assert torch.equal(limited(torch.arange(4)), embedding(torch.arange(4)))


def test_computed_weights_of_a_copy_leave_the_original_as_it_is() -> None:
    layer = parametrizations.spectral_norm(nn.Linear(5, 6)).eval()
    expected = layer(NOISE)
    compute_weights(copy.deepcopy(layer))
    torch.testing.assert_close(layer(NOISE), expected)


def test_plain_weights_and_other_hooks_stay() -> None:
    layer = nn.Linear(5, 6)
    layer.register_forward_pre_hook(lambda _module, inputs: inputs)
    compute_weights(layer)
    assert len(layer._forward_pre_hooks) == 1


class PerImage(nn.Module):
    """A convolution with one group per image, or attention without a head axis."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.options = kind, options
        self.weight = nn.Parameter(torch.randn(4, 4, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        batch = x.shape[0]
        if self.kind == "attention":
            query = x.view(batch, 10, 12)
            return functional.scaled_dot_product_attention(query, query, query + 1)
        weight = self.weight * x[:, :1].view(batch, 1, 1, 1, 1)
        images = x.view(1, batch * 4, 5, 6)
        convolution = getattr(functional, self.kind)
        image: Tensor = convolution(
            images, weight.view(batch * 4, 4, 3, 2), groups=batch, **self.options
        )
        return image.view(batch, 4, *image.shape[2:])


def captured(module: nn.Module) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        return torch.export.export(module, (torch.zeros(3, 120),), dynamic_shapes=({0: batch},))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # from torch.export itself
@pytest.mark.parametrize(
    "module",
    [
        PerImage("conv2d", padding=1),
        PerImage("conv2d", stride=(2, 1), dilation=(1, 2)),
        PerImage("conv_transpose2d", stride=2, padding=1, output_padding=1),
        PerImage("conv_transpose2d", dilation=2),
        PerImage("attention"),
    ],
    ids=lambda module: f"{module.kind} {module.options}",
)
def test_operators_that_onnx_lacks_are_decomposed(module: nn.Module) -> None:
    program = decompose(captured(module))
    assert not [node for node in program.graph.nodes if "conv" in str(node.target)]
    for batch in (1, 4):
        inputs = torch.randn(batch, 120)
        expected = module(inputs)
        torch.testing.assert_close(program.module()(inputs), expected, rtol=1e-4, atol=1e-4)


def test_other_operators_are_not_decomposed() -> None:
    program = captured(nn.Sequential(nn.Unflatten(1, (4, 5, 6)), nn.Conv2d(4, 4, 1, groups=2)))
    assert decompose(program) is program
