"""Numbers that code reads from weights and buffers, such as `if self.alpha < 1`.

torch.export traces without the values of a module's tensors. So the numbers are recorded while the
module runs, and a trace gets those that do not depend on noise and label.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from cgan_export.tracing.functions import FunctionMode

_READ: set[Callable[..., Any]] = {
    *(Tensor.__bool__, Tensor.__float__, Tensor.__index__, Tensor.__int__, Tensor.item),
    *(Tensor.tolist, Tensor.equal, torch.equal, torch.allclose, torch.is_nonzero),
}


class WithNumbers(nn.Module):
    """A module that does not read numbers from its weights and buffers, for they are known."""

    def __init__(self, module: nn.Module, numbers: list[Any]) -> None:
        super().__init__()
        self.module, self.numbers = module, numbers

    def forward(self, noise: Tensor, label: Tensor) -> Any:
        """Call the module."""
        with _Replay(self.numbers):
            return self.module(noise, label)


def with_numbers(module: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """Return a module that can be traced; the module itself if it reads no numbers."""
    recorder = _Recorder(module)
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"), recorder:
            module(*inputs)
    except Exception:  # noqa: BLE001 - tensors of torch.vmap, for example, have no memory
        return module
    is_known = any(number is not None for number in recorder.numbers)
    return WithNumbers(module, recorder.numbers).eval() if is_known else module


class _Recorder(FunctionMode):
    """Records what functions return that read numbers; None where they depend on the inputs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.numbers: list[Any] = []
        tensors = (*module.parameters(), *module.buffers())
        own = (value for layer in module.modules() for value in vars(layer).values())
        # All are kept alive, so that no other tensor gets their memory.
        self._constants = [*tensors, *(value for value in own if isinstance(value, Tensor))]
        self._known = {_memory(each) for each in self._constants}

    def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        is_known = all(_memory(each) in self._known for each in _tensors((args, kwargs)))
        result = function(*args, **kwargs)
        if function in _READ:
            self.numbers += [each if is_known else None for each in tree_leaves(result)]
        written = _tensors(args[:1]) if _writes(function) else []
        for each in (*_tensors(result), *written):
            if is_known:
                self._constants.append(each)
                self._known.add(_memory(each))
            else:
                self._known.discard(_memory(each))
        return result


class _Replay(FunctionMode):
    def __init__(self, numbers: list[Any]) -> None:
        super().__init__()
        self._numbers: Iterator[Any] = iter(numbers)

    def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        if function not in _READ:
            return function(*args, **kwargs)
        # torch.export itself replaces tolist() by item() of each element.
        shape = args[0].shape if function is Tensor.tolist else ()
        numbers = [next(self._numbers, None) for _ in range(math.prod(shape))]
        if None in numbers:
            return function(*args, **kwargs)
        return np.array(numbers, object).reshape(shape).tolist()


def _tensors(values: Any) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _writes(function: Callable[..., Any]) -> bool:
    """Return whether a function may change its first argument."""
    name = getattr(function, "__name__", "_")
    return name.endswith("_") and (not name.startswith("__") or name.startswith(("__i", "__set")))
