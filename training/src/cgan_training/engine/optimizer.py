"""Adam that works with CUDA graphs. Its saved state can be loaded on any device."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from cgan_training.hardware.cuda_graph import set_value
from cgan_training.recipe import Recipe


def create_adam(network: nn.Module, recipe: Recipe, *, capturable: bool) -> Adam:
    """Return a network's optimizer. If it is capturable, a tensor holds its learning rate."""
    rate: float | Tensor = recipe.learning_rate
    if capturable:
        rate = torch.tensor(rate, device=next(network.parameters()).device)
    weights, betas = network.parameters(), recipe.adam_betas
    return Adam(weights, rate, betas, fused=True, capturable=capturable)


def set_learning_rate(optimizer: Adam, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = set_value(group["lr"], rate)


def optimizer_state(optimizer: Adam) -> dict[str, Any]:
    """Return the optimizer's state_dict() in the form that it has without CUDA graphs."""
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group.update(lr=float(group["lr"]), capturable=False)
    return state


def load_optimizer_state(optimizer: Adam, state: dict[str, Any]) -> None:
    """Load a state that optimizer_state() returned on any device."""
    own = [(group["lr"], group["capturable"]) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, (rate, capturable) in zip(optimizer.param_groups, own, strict=True):
        group.update(lr=set_value(rate, group["lr"]), capturable=capturable)
