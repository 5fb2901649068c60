"""Replay of the Python values that a module takes from its tensors, as in `if self.alpha < 1`.

torch.export traces without the values of a module's tensors. So the values are recorded while the
module runs, and the trace uses those that do not depend on noise and label.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from cgan_export.tracing.function_replacements import FunctionMode

_READING_FUNCTIONS: set[Callable[..., Any]] = {
    Tensor.__bool__,
    Tensor.__float__,
    Tensor.__index__,
    Tensor.__int__,
    Tensor.equal,
    Tensor.item,
    Tensor.tolist,
    torch.allclose,
    torch.equal,
    torch.is_nonzero,
}


class ReplayedNumbers(nn.Module):
    """A module that gets recorded numbers instead of reading them from its tensors."""

    def __init__(self, module: nn.Module, numbers: list[Any]) -> None:
        super().__init__()
        self.module, self.numbers = module, numbers

    def forward(self, noise: Tensor, label: Tensor) -> Any:
        """Call the module."""
        with _ReplayMode(self.numbers):
            return self.module(noise, label)


def replay_numbers(module: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """Run a module once to record the numbers that it reads.

    Returns:
        A module that replays the numbers, or the module itself if there are none to replay.
    """
    recording = _RecordingMode(module)
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"), recording:
            module(*inputs)
    except Exception:  # noqa: BLE001 - tensors of torch.vmap, for example, have no memory
        return module
    is_known = any(number is not None for number in recording.numbers)
    return ReplayedNumbers(module, recording.numbers).eval() if is_known else module


class _RecordingMode(FunctionMode):
    """Records each number that is read from a tensor, or None if it depends on the inputs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.numbers: list[Any] = []
        tensors = (*module.parameters(), *module.buffers())
        attributes = (value for layer in module.modules() for value in vars(layer).values())
        # These tensors are kept alive, because _memory() identifies a tensor by its address.
        self._constants = [*tensors, *(value for value in attributes if isinstance(value, Tensor))]
        self._known = {_memory(each) for each in self._constants}

    def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        is_known = all(_memory(each) in self._known for each in _tensors((args, kwargs)))
        result = function(*args, **kwargs)
        if function in _READING_FUNCTIONS:
            self.numbers += [each if is_known else None for each in tree_leaves(result)]
        written = _tensors(args[:1]) if _may_write(function) else []
        for each in (*_tensors(result), *written):
            if is_known:
                self._constants.append(each)
                self._known.add(_memory(each))
            else:
                self._known.discard(_memory(each))
        return result


class _ReplayMode(FunctionMode):
    """Returns the recorded numbers in order, or reads a number that was recorded as None."""

    def __init__(self, numbers: list[Any]) -> None:
        super().__init__()
        self._numbers: Iterator[Any] = iter(numbers)

    def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        if function not in _READING_FUNCTIONS:
            return function(*args, **kwargs)
        # tolist() was recorded as one number per element. If the tensor depends on the inputs, all
        # are None. tolist() is then called, and torch.export traces it as item() of each element.
        shape = args[0].shape if function is Tensor.tolist else ()
        numbers = [next(self._numbers, None) for _ in range(math.prod(shape))]
        if None in numbers:
            return function(*args, **kwargs)
        return np.array(numbers, object).reshape(shape).tolist()


def _tensors(values: Any) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _may_write(function: Callable[..., Any]) -> bool:
    """Return whether a function may change its first argument, as add_() and __setitem__() do."""
    name = getattr(function, "__name__", "_")
    return name.endswith("_") and (not name.startswith("__") or name.startswith(("__i", "__set")))
