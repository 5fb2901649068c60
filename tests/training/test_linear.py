from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from cgan_training.networks import linear
from cgan_training.networks.linear import Linear


@pytest.fixture(autouse=True)
def on_amd(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where it helps, on whatever processor the tests run."""
    monkeypatch.setattr(linear, "HELPS", linear._available())


@pytest.fixture
def layer() -> Linear:
    torch.manual_seed(0)
    return Linear(37, 53)


def gradients(layer: nn.Linear, x: torch.Tensor) -> list[torch.Tensor]:
    output = layer(x)
    inputs = [x, *layer.parameters()]
    return [output, *torch.autograd.grad(output.square().sum(), inputs)]


def test_it_computes_what_torch_computes(layer: Linear, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(100, 37, requires_grad=True)
    fast = gradients(layer, x)
    monkeypatch.setattr(linear, "HELPS", False)
    for mine, theirs in zip(fast, gradients(layer, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-4)


def test_its_gradients_are_right(layer: Linear) -> None:
    x = torch.randn(6, 37, requires_grad=True)
    weight = layer.weight.detach().double().requires_grad_()
    bias = layer.bias.detach().double().requires_grad_()
    wide = x.detach().double().requires_grad_()
    expected = torch.autograd.grad(
        functional.linear(wide, weight, bias).square().sum(), [wide, weight, bias]
    )
    for mine, theirs in zip(gradients(layer, x)[1:], expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-4)


def test_weights_that_stand_still_get_no_gradient(layer: Linear) -> None:
    layer.requires_grad_(False)
    x = torch.randn(3, 37, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def test_it_is_torch_s_own_outside_of_training(layer: Linear) -> None:
    layer.eval()
    x = torch.randn(3, 37)
    assert torch.equal(layer(x), functional.linear(x, layer.weight, layer.bias))
    assert isinstance(layer, nn.Linear)
    assert list(layer.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize(
    ("processor", "description", "amd"),
    [
        ("", "vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9R45\n", True),
        ("", "vendor_id\t: GenuineIntel\n", False),
        ("AMD64 Family 26 Model 2 Stepping 1, AuthenticAMD", None, True),
        ("arm", None, False),
    ],
)
def test_whose_processor_it_is(
    tmp_path: Path, processor: str, description: str | None, amd: bool
) -> None:
    if description is not None:
        (tmp_path / "cpuinfo").write_text(description)
    assert linear.by_amd(processor, tmp_path / "cpuinfo") is amd
