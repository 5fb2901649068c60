"""Training steps on a CUDA device: recorded once as a graph, then replayed.

A step of networks as small as these is some two hundred kernels of a few microseconds. To launch
them one by one takes longer than they run; a recorded graph is launched as a whole. It reads and
writes the same memory each time, so what changes between steps lies in tensors that are set before.
"""

import warnings
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from cgan_training.errors import DeviceError, brief

WARM_UP = 3  # steps of a kind before it is recorded: libraries and optimisers set themselves up


def can_capture(device: torch.device, processes: int) -> bool:
    """Return whether steps are recorded on a device; several processes wait for each other."""
    return device.type == "cuda" and processes == 1


class CudaGraphStep:
    """Takes steps on a CUDA device, the first ones as they are written, the others from a graph.

    A step that waits for the device, as .item() does, cannot be recorded and stays as written.

    Args:
        step: given the numbers of the real images, int64 [batch], and the kind of step: one that
            does other work is of another kind. Returns a tensor.
        random: what it draws from.
    """

    def __init__(self, step: Callable[[Tensor, bool], Tensor], random: torch.Generator) -> None:
        self._step, self._random = step, random
        self._stream = torch.cuda.Stream(random.device)
        self._numbers = torch.empty(0, dtype=torch.int64, device=random.device)  # the graphs' own
        self._taken: Counter[bool] = Counter()  # steps of each kind
        self._waits: set[bool] = set()  # kinds that cannot be recorded
        self._graphs: dict[bool, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def __call__(self, numbers: Tensor, kind: bool) -> Tensor:
        """Take a step, and return what it returns, in memory that the next step may write to.

        Raises:
            DeviceError: it cannot be recorded, and nothing told that before.
        """
        if not self._taken:
            self._numbers.resize_(numbers.shape)
        self._numbers.copy_(numbers)
        self._taken[kind] += 1
        if kind in self._waits or self._taken[kind] <= WARM_UP:
            return self._as_written(kind)
        if kind not in self._graphs:
            self._graphs[kind] = self._recorded(kind)
        graph, result = self._graphs[kind]
        graph.replay()
        return result

    @property
    def recorded(self) -> set[bool]:
        """The kinds of step that there are graphs of."""
        return set(self._graphs)

    def _as_written(self, kind: bool) -> Tensor:
        """Take a step on the stream that is recorded later: what is set up may belong to it."""
        here = torch.cuda.current_stream(self._random.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            if self._taken[kind] == WARM_UP:
                result = self._watched(kind)
            else:
                result = self._step(self._numbers, kind)
        here.wait_stream(self._stream)
        return result

    def _watched(self, kind: bool) -> Tensor:
        """Take a step, and find out whether it waits for the device."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                result = self._step(self._numbers, kind)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        if any("called a synchronizing" in str(each.message) for each in caught):
            self._waits.add(kind)
        return result

    def _recorded(self, kind: bool) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._random.device)
        graph.register_generator_state(self._random)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                result = self._step(self._numbers, kind)
        except RuntimeError as error:
            torch.cuda.set_stream(here)
            raise DeviceError(
                f"a step of this recipe cannot be recorded as a CUDA graph ({brief(error)}); "
                "use --device cpu"
            ) from error
        return graph, result


def turned(dial: float | Tensor, value: float) -> float | Tensor:
    """Return a dial set to a value: the same tensor where it is one, so that graphs see it."""
    return dial.fill_(value) if isinstance(dial, Tensor) else value
