"""Adam: its learning rate in a tensor where steps are recorded, its saved state the same always."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from cgan_training.hardware.cuda_graph import turned
from cgan_training.recipe.schema import Recipe


def adam(network: nn.Module, recipe: Recipe, *, recorded: bool) -> Adam:
    """Return a recipe's optimiser of a network.

    Args:
        network: on its device.
        recipe: gives learning rate and betas.
        recorded: whether its steps are recorded as a CUDA graph.
    """
    rate: float | Tensor = recipe.learning_rate
    if recorded:
        rate = torch.tensor(rate, device=next(network.parameters()).device)
    return Adam(network.parameters(), lr=rate, betas=recipe.betas, fused=True, capturable=recorded)


def set_rate(optimizer: Adam, rate: float) -> None:
    """Set the learning rate, where it lies."""
    for group in optimizer.param_groups:
        group["lr"] = turned(group["lr"], rate)


def state_of(optimizer: Adam) -> dict[str, Any]:
    """Return its state_dict() as it would be where nothing is recorded."""
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group.update(lr=float(group["lr"]), capturable=False)
    return state


def load(optimizer: Adam, state: dict[str, Any]) -> None:
    """Take over what state_of() gave, here or on another device.

    Raises:
        ValueError, KeyError, TypeError: it does not fit.
    """
    own = [(group["lr"], group["capturable"]) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, (rate, capturable) in zip(optimizer.param_groups, own, strict=True):
        group.update(lr=turned(rate, group["lr"]), capturable=capturable)
