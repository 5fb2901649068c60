"""A linear layer that computes in oneDNN where torch would take a slower library.

On x86 torch multiplies float32 matrices with MKL, which on AMD's processors reaches half of what
oneDNN does, and torch carries both: 204 against 450 GFLOP/s on two Zen 5 cores at this project's
shapes (`make bench`). On two cores of an Intel Xeon MKL leads, 310 to 270, and nothing is
changed. torch's own compiler calls the same operator. The products are float32 either way; only
the order of the sums differs.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Linear(nn.Linear):
    """nn.Linear, through oneDNN while it trains in float32 on AMD's CPUs; the same weights."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Linear's name
        """Return input @ weight.T + bias, float32 [batch, out_features]."""
        if self.training and _through_onednn(input):
            output: Tensor = _OneDnnLinear.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return output
        return functional.linear(input, self.weight, self.bias)


class _OneDnnLinear(torch.autograd.Function):
    """The layer and its gradients, each one matrix product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return x @ weight.T + bias for x [batch, in], weight [out, in], bias [out]."""
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias that are needed."""
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()) if need_x else None,  # [batch, in]
            _product(gradient.t(), x.t()) if need_weight else None,  # [out, in]
            gradient.sum(0) if need_bias else None,  # [out]
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - see above
        x, weight, bias, "none", [], ""
    )
    return product


def _available() -> bool:
    """Whether torch has the operator, and MKL that it would take otherwise."""
    return bool(
        torch.backends.mkldnn.is_available()
        and torch.backends.mkl.is_available()  # where there is no MKL, torch takes oneDNN itself
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def by_amd(processor: str, description: Path) -> bool:
    """Whether AMD made the processor, by its name (Windows) or the kernel's words (Linux)."""
    with suppress(OSError):
        processor += description.read_text(encoding="utf-8", errors="replace")
    return "AuthenticAMD" in processor


def _through_onednn(x: Tensor) -> bool:
    return (
        HELPS
        and _once_is_enough
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Compute by torch's own layers within: their gradients have gradients, oneDNN's have none."""
    global _once_is_enough  # noqa: PLW0603 - a network is called far from its layers
    before, _once_is_enough = _once_is_enough, False
    try:
        yield
    finally:
        _once_is_enough = before


_once_is_enough = True
HELPS = _available() and by_amd(platform.processor(), Path("/proc/cpuinfo"))
