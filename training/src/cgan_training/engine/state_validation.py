"""Checks that a saved training state fits the trainer that should continue from it.

Each function raises ValueError, KeyError, TypeError or AttributeError if a value does not fit.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

ADAM_MOMENTS = ("exp_avg", "exp_avg_sq")  # Adam's state of each parameter, besides "step"
LEARNING_RATE = "lr"  # the only optimizer setting that changes during training
MAX_COUNT = 2**53  # limit of counters; smaller numbers are exact in float64


class EpochSize(NamedTuple):
    """The size of an epoch, which may repeat the dataset."""

    dataset_images: int  # number of images in the dataset
    images: int  # number of images in an epoch, with repetitions
    steps: int  # number of steps in an epoch


def require_same_structure(value: Any, expected: Any, name: str) -> None:
    """Check that a saved value has the type, shape and keys of `expected`.

    Tensors must be finite. Plain numbers must also be at least 0, and integers below MAX_COUNT.
    """
    if isinstance(expected, Tensor):
        valid = (
            isinstance(value, Tensor)
            and (value.shape, value.dtype) == (expected.shape, expected.dtype)
            and bool(value.isfinite().all())
        )
    elif isinstance(expected, Mapping):
        valid = isinstance(value, Mapping) and value.keys() == expected.keys()
    elif isinstance(expected, float):
        valid = type(value) is float and math.isfinite(value) and value >= 0
    else:
        valid = type(value) is int and 0 <= value < MAX_COUNT
    if not valid:
        raise ValueError(f"{name} has unexpected keys, or an unexpected type, shape or value")
    if isinstance(expected, Mapping):
        for key, part in expected.items():
            require_same_structure(value[key], part, f"{name}.{key}")


def require_adam_state(value: Any, expected: Any, shapes: list[torch.Size], name: str) -> None:
    """Check the saved state of an Adam optimizer against a fresh one and its parameters' shapes."""
    (group,), (expected_group,) = value["param_groups"], expected["param_groups"]
    require_same_structure(float(group[LEARNING_RATE]), 0.0, f"{name}.{LEARNING_RATE}")
    # Other releases of PyTorch may have further settings.
    for key in set(group) & set(expected_group) - {LEARNING_RATE}:
        same_type = type(group[key]) is type(expected_group[key])
        if not same_type or group[key] != expected_group[key]:
            raise ValueError(f"{name}.{key} differs from the recipe's")
    if value["state"] and value["state"].keys() != set(range(len(shapes))):
        raise ValueError(f"{name} has a different number of parameters")
    for number, state in value["state"].items():
        require_same_structure(state["step"], torch.zeros(()), f"{name}.{number}.step")
        expected_moment = torch.zeros(()).expand(shapes[number])
        for moment in ADAM_MOMENTS:
            require_same_structure(state[moment], expected_moment, f"{name}.{number}.{moment}")


def require_image_order(order: Any, steps: int, size: EpochSize) -> None:
    """Check the number of completed steps of an epoch and the order of its images.

    The order holds the indices of the epoch's images, int64 [size.images]. It is None before the
    first step.
    """
    if order is None:
        valid = steps == 0
    else:
        valid = (
            isinstance(order, Tensor)
            and (order.dtype, order.shape) == (torch.int64, (size.images,))
            and bool(((order >= 0) & (order < size.dataset_images)).all())
        )
    if not valid or not 0 <= steps < size.steps:
        raise ValueError("the order of the images does not fit the dataset")
