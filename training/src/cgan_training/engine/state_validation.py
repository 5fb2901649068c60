"""Checks that a saved training state fits the trainer that should continue from it."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

ADAM_MOMENTS = ("exp_avg", "exp_avg_sq")  # that Adam stores for each parameter, beside its step
LEARNING_RATE = "lr"  # the only optimizer setting that changes during training
MAX_COUNT = 2**53


def require_same_structure(value: Any, expected: Any, name: str) -> None:
    """Check that a saved value has the type, shape and keys of a fresh one.

    Args:
        value: tensors and plain values, possibly nested.
        expected: the same part of a trainer before its first step.
        name: of the value, for error messages.

    Raises:
        ValueError: a type, shape or key differs, or a number is not finite.
    """
    if isinstance(expected, Tensor):
        valid = (
            isinstance(value, Tensor)
            and value.shape == expected.shape
            and value.dtype == expected.dtype
            and bool(value.isfinite().all())
        )
    elif isinstance(expected, Mapping):
        valid = isinstance(value, Mapping) and value.keys() == expected.keys()
    elif isinstance(expected, float):
        valid = type(value) is float and math.isfinite(value) and value >= 0
    else:
        is_count = type(value) is not int or 0 <= value < MAX_COUNT
        valid = type(value) is type(expected) and is_count
    if not valid:
        raise ValueError(f"{name} has an unexpected type, shape or value")
    if isinstance(expected, Mapping):
        for key, part in expected.items():
            require_same_structure(value[key], part, f"{name}.{key}")


def require_adam_state(value: Any, expected: Any, shapes: list[torch.Size], name: str) -> None:
    """Check the saved state of an Adam optimizer.

    Args:
        value: the saved state_dict().
        expected: the state_dict() before the first step.
        shapes: of the optimizer's parameters.
        name: of the optimizer, for error messages.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the state does not fit.
    """
    (group,), (expected_group,) = value["param_groups"], expected["param_groups"]
    require_same_structure(float(group[LEARNING_RATE]), 0.0, f"{name}.{LEARNING_RATE}")
    # Other releases of PyTorch may have further settings.
    for key in set(group) & set(expected_group) - {LEARNING_RATE}:
        same_type = type(group[key]) is type(expected_group[key])
        if not same_type or group[key] != expected_group[key]:
            raise ValueError(f"{name}.{key} differs from the recipe's")
    if value["state"] and value["state"].keys() != set(range(len(shapes))):
        raise ValueError(f"{name} has other parameters")
    for number, state in value["state"].items():
        require_same_structure(state["step"], torch.zeros(()), f"{name}.{number}.step")
        for moment in ADAM_MOMENTS:
            like = torch.zeros(()).expand(shapes[number])
            require_same_structure(state[moment], like, f"{name}.{number}.{moment}")


def require_image_order(order: Any, steps: int, images: int, length: int, max_steps: int) -> None:
    """Check the progress within an epoch.

    Args:
        order: indices of the epoch's images, int64 [length], or None before its first step.
        steps: completed steps of the epoch.
        images: number of images in the dataset.
        length: number of images that an epoch shows.
        max_steps: number of steps of a whole epoch.

    Raises:
        ValueError: the values do not fit.
    """
    if order is None:
        valid = steps == 0
    else:
        valid = (
            isinstance(order, Tensor)
            and order.dtype == torch.int64
            and order.shape == (length,)
            and bool(((order >= 0) & (order < images)).all())
        )
    if not valid or not 0 <= steps < max_steps:
        raise ValueError("the order of the images does not fit the dataset")
