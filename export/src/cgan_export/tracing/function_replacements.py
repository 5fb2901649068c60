"""Replacements, during a trace, for PyTorch functions whose trace cannot be exported to ONNX.

- torch.take_along_dim() and torch.take(): their trace makes the batch size a constant.
- RReLU in eval mode: it is a leaky ReLU, but its operator generates random numbers.
- nn.TransformerEncoder and nn.MultiheadAttention: their fast path is one operator, which torch.onnx
  cannot convert, so it is disabled.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def replace_untraceable_functions() -> Iterator[None]:
    """Replace the functions of this module's table within a `with` statement."""
    is_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _ReplacementMode():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)


class FunctionMode(TorchFunctionMode):
    """Calls call() instead of each function of PyTorch within a `with` statement."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return self.call(function, args, kwargs or {})

    def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call the function or a replacement, and return the result."""
        raise NotImplementedError


class _ReplacementMode(FunctionMode):
    def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        return _REPLACEMENTS.get(function, function)(*args, **kwargs)


def _take(data: Tensor, index: Tensor) -> Tensor:
    return data.reshape(-1)[index]


def _take_along_dim(data: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    if dim is None:
        return data.reshape(-1).gather(0, indices.reshape(-1))
    axis = dim % data.ndim
    shape = torch.broadcast_shapes(
        *((*each.shape[:axis], 1, *each.shape[axis + 1 :]) for each in (data, indices))
    )
    data, indices = (
        each.expand(*shape[:axis], each.shape[axis], *shape[axis + 1 :]) for each in (data, indices)
    )
    return data.gather(axis, indices)


def _rrelu(
    features: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,  # noqa: FBT002 - by position, as in functional.rrelu()
    inplace: bool = False,  # noqa: FBT002
) -> Tensor:
    if training:
        return functional.rrelu(features, lower, upper, training, inplace)
    return functional.leaky_relu(features, (lower + upper) / 2, inplace)


_REPLACEMENTS: dict[Callable[..., Any], Callable[..., Any]] = {
    functional.rrelu: _rrelu,
    torch.rrelu: _rrelu,
    torch.take: _take,
    Tensor.take: _take,
    torch.take_along_dim: _take_along_dim,
    Tensor.take_along_dim: _take_along_dim,
}
