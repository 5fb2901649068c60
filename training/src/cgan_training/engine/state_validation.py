"""Whether a saved state fits the trainer that is to go on from it."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

MOMENTS = ("exp_avg", "exp_avg_sq")  # that Adam keeps of each parameter, beside its step
CHANGES = "lr"  # of an optimiser's settings, as the learning rate decays
MOST_STEPS = 2**53


def require_same_structure(found: Any, fresh: Any, where: str) -> None:
    """Check that a value could have become of a fresh one.

    Args:
        found: tensors and plain values.
        fresh: the same of a trainer that has done nothing.
        where: what it is, for messages.

    Raises:
        ValueError: a type, a shape or a key is another, or a number is none.
    """
    if isinstance(fresh, Tensor):
        same = isinstance(found, Tensor) and found.shape == fresh.shape
        fits = same and found.dtype == fresh.dtype and bool(found.isfinite().all())
    elif isinstance(fresh, Mapping):
        fits = isinstance(found, Mapping) and found.keys() == fresh.keys()
    elif isinstance(fresh, float):
        fits = type(found) is float and math.isfinite(found) and found >= 0
    else:
        fits = type(found) is type(fresh) and (type(found) is not int or 0 <= found < MOST_STEPS)
    if not fits:
        raise ValueError(f"{where} is another")
    if isinstance(fresh, Mapping):
        for key, value in fresh.items():
            require_same_structure(found[key], value, f"{where}.{key}")


def require_optimizer(found: Any, fresh: Any, shapes: list[torch.Size], where: str) -> None:
    """Check the state of an Adam.

    Args:
        found: of its state_dict(), saved.
        fresh: of its state_dict(), before its first step.
        shapes: of its parameters.
        where: which one, for messages.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it does not fit.
    """
    (group,), (fresh_group,) = found["param_groups"], fresh["param_groups"]
    require_same_structure(float(group[CHANGES]), 0.0, f"{where}.{CHANGES}")
    for key in set(group) & set(fresh_group) - {CHANGES}:  # other releases of torch have others
        if group[key] != fresh_group[key] or type(group[key]) is not type(fresh_group[key]):
            raise ValueError(f"{where}.{key} is another")
    if found["state"] and found["state"].keys() != set(range(len(shapes))):
        raise ValueError(f"{where} is of other parameters")
    for number, state in found["state"].items():
        require_same_structure(state["step"], torch.zeros(()), f"{where}.{number}.step")
        for moment in MOMENTS:
            like = torch.zeros(()).expand(shapes[number])
            require_same_structure(state[moment], like, f"{where}.{number}.{moment}")


def require_order(order: Any, done: int, images: int, length: int, steps: int) -> None:
    """Check how far an epoch is.

    Args:
        order: of its images, int64 [length], or None before its first step.
        done: steps of it.
        images: in the data set.
        length: images that an epoch shows.
        steps: of an epoch.

    Raises:
        ValueError: it does not fit.
    """
    if order is None:
        fits = done == 0
    else:
        fits = (
            isinstance(order, Tensor)
            and order.dtype == torch.int64
            and order.shape == (length,)
            and bool(((order >= 0) & (order < images)).all())
        )
    if not fits or not 0 <= done < steps:
        raise ValueError("the order of the images does not fit the data")
