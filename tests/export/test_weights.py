"""Loading the state dicts that typical training scripts save."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cgan_export.errors import ExportError
from cgan_export.source.weights import load_weights

State = dict[str, Tensor]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}


STATES: dict[str, Callable[[State], Any]] = {
    "plain": lambda state: state,
    "DataParallel": lambda state: prefixed(state, "module."),
    "torch.compile": lambda state: prefixed(state, "_orig_mod."),
    "DataParallel and compiled": lambda state: prefixed(state, "module._orig_mod."),
    "an EMA model": lambda state: {
        "n_averaged": torch.tensor(3),
        **prefixed(state, "module."),
    },
    "a checkpoint": lambda state: {"epoch": 3, "G": state, "D": {"weight": torch.ones(2)}},
    "a nested checkpoint": lambda state: {"nets": {"g": state}, "optimizer": {"state": {}}},
    "several networks": lambda state: {
        "state_dict": {**prefixed(state, "generator."), "discriminator.weight": torch.ones(2)}
    },
}


@pytest.mark.parametrize("name", STATES)
def test_weights_are_found(name: str, tmp_path: Path) -> None:
    saved, module = network(), network()
    torch.save(STATES[name](saved.state_dict()), tmp_path / "state.pt")
    load_weights(module, "mine", tmp_path / "state.pt")
    for key, value in saved.state_dict().items():
        assert torch.equal(module.state_dict()[key], value), key


def test_a_compiled_layer_gets_plain_weights(tmp_path: Path) -> None:
    layer: Any = torch.compile(nn.Linear(2, 3))
    saved, module = network(), nn.Sequential(layer, nn.BatchNorm1d(3))
    torch.save(saved.state_dict(), tmp_path / "state.pt")
    load_weights(module, "mine", tmp_path / "state.pt")
    assert torch.equal(module.state_dict()["0._orig_mod.weight"], saved.state_dict()["0.weight"])


OTHERS: dict[str, tuple[Callable[[State], Any], str]] = {
    "two candidates": (
        lambda state: {"g": state, "g_ema": state},
        "the weights of mine at g and g_ema; write",
    ),
    "no candidate": (
        lambda state: {"d": {"a": state["0.bias"]}, "a": state["0.bias"]},
        "2 dicts of tensors",
    ),
    "a missing key": (
        lambda state: dict([*state.items()][1:]),
        'do not fit mine: .*"0.weight"',
    ),
    "an extra key": (
        lambda state: {**state, "2.bias": state["0.bias"]},
        'do not fit mine: .*"2.bias"',
    ),
    "a prefix of another network": (
        lambda state: prefixed({**state, "2.b": state["0.bias"]}, "g."),
        "do not fit mine",
    ),
    "other shapes": (
        lambda state: {**state, "0.bias": torch.ones(4)},
        "size mismatch for 0.bias",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_weights_are_rejected_in_one_line(name: str, tmp_path: Path) -> None:
    change, message = OTHERS[name]
    torch.save(change(network().state_dict()), tmp_path / "state.pt")
    with pytest.raises(ExportError, match=message) as caught:
        load_weights(network(), "mine", tmp_path / "state.pt")
    assert "\n" not in str(caught.value)
