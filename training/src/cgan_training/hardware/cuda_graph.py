"""Capture training steps as CUDA graphs and replay them.

A training step of networks this small launches about two hundred kernels of a few microseconds
each, and launching them one by one takes longer than running them. A captured graph is launched as
a whole. It always reads and writes the same memory, so values that change between steps are kept in
tensors that are set before each replay.
"""

import warnings
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from cgan_training.errors import DeviceError, one_line

CAPTURE_WARM_UP_STEPS = 3  # steps before a capture; libraries and optimizers allocate state in them


def can_capture(device: torch.device, processes: int) -> bool:
    """Return whether steps can be captured: on CUDA, and in a run of one process."""
    return device.type == "cuda" and processes == 1


class CudaGraphStep:
    """Run training steps on a CUDA device: the first ones directly, then by replaying a graph.

    A step that synchronizes with the device, for example by .item(), cannot be captured and always
    runs directly.

    Args:
        step: function of the indices of the real images, int64 [batch], and a variant, such as
            whether to apply a gradient penalty. It returns a tensor. Each variant has its graph.
        rng: the random number generator that the step uses.
    """

    def __init__(self, step: Callable[[Tensor, bool], Tensor], rng: torch.Generator) -> None:
        self._step, self._rng = step, rng
        self._stream = torch.cuda.Stream(rng.device)
        self._indices = torch.empty(0, dtype=torch.int64, device=rng.device)  # graph input
        self._runs: Counter[bool] = Counter()  # variant -> number of its steps
        self._synchronizing: set[bool] = set()  # variants that cannot be captured
        # variant -> its graph, and the tensor into which the graph writes the result
        self.graphs: dict[bool, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def __call__(self, indices: Tensor, variant: bool) -> Tensor:
        """Run one step and return its result. The next step may overwrite the returned tensor.

        Raises:
            DeviceError: the capture failed, although the warm-up found no synchronization.
        """
        if not self._runs:
            self._indices.resize_(indices.shape)
        self._indices.copy_(indices)
        self._runs[variant] += 1
        if variant in self._synchronizing or self._runs[variant] <= CAPTURE_WARM_UP_STEPS:
            return self._run_directly(variant)
        if variant not in self.graphs:
            self.graphs[variant] = self._capture(variant)
        graph, result = self.graphs[variant]
        graph.replay()
        return result

    def _run_directly(self, variant: bool) -> Tensor:
        """Run a step on the capture stream, because its state must be allocated there."""
        current = torch.cuda.current_stream(self._rng.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            if self._runs[variant] == CAPTURE_WARM_UP_STEPS:
                result = self._run_and_detect_synchronization(variant)
            else:
                result = self._step(self._indices, variant)
        current.wait_stream(self._stream)
        return result

    def _run_and_detect_synchronization(self, variant: bool) -> Tensor:
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                result = self._step(self._indices, variant)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        if any("called a synchronizing" in str(warning.message) for warning in caught):
            self._synchronizing.add(variant)
        return result

    def _capture(self, variant: bool) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._rng.device)
        graph.register_generator_state(self._rng)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                result = self._step(self._indices, variant)
        except RuntimeError as error:
            torch.cuda.set_stream(current)
            raise DeviceError(
                f"a training step of this recipe cannot be captured as a CUDA graph "
                f"({one_line(error)}); use --device cpu"
            ) from error
        return graph, result


def set_value(target: float | Tensor, value: float) -> float | Tensor:
    """Return `value`. If `target` is a tensor, which captured graphs read, fill and return it."""
    return target.fill_(value) if isinstance(target, Tensor) else value
