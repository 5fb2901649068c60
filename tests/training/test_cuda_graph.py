"""What a CudaGraphStep takes as written, records and replays. On a real GPU: make test-gpu."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from cgan_training.errors import DeviceError
from cgan_training.hardware import cuda_graph
from cgan_training.hardware.cuda_graph import WARM_UP, CudaGraphStep, can_capture, turned

Step = Callable[[Tensor, bool], Tensor]
SYNCHRONIZING = "called a synchronizing CUDA operation (Triggered internally at somewhere)"


class FakeStream:
    """A stream on which nothing waits."""

    def wait_stream(self, _other: "FakeStream") -> None:
        """There is nothing to wait for."""


class FakeCuda:
    """The parts of torch.cuda that CudaGraphStep uses; a replay repeats the captured calls."""

    def __init__(self) -> None:
        self.mode = 0
        self.here = self.default = FakeStream()
        self.graphs: list[FakeGraph] = []
        self.noting: FakeGraph | None = None

    def Stream(self, _device: torch.device) -> FakeStream:  # noqa: N802 - torch's name
        return FakeStream()

    def CUDAGraph(self) -> "FakeGraph":  # noqa: N802 - torch's name
        graph = FakeGraph()
        self.graphs.append(graph)
        return graph

    def current_stream(self, _device: torch.device) -> FakeStream:
        return self.here

    def set_stream(self, stream: FakeStream) -> None:
        self.here = stream

    def stream(self, _stream: FakeStream) -> Any:
        return nullcontext()

    @contextmanager
    def graph(self, graph: "FakeGraph", stream: FakeStream) -> Iterator[None]:
        self.noting, self.here = graph, stream
        yield  # where it fails, torch leaves its stream the current one
        self.noting, self.here = None, self.default

    def get_sync_debug_mode(self) -> int:
        return self.mode

    def set_sync_debug_mode(self, mode: int | str) -> None:
        self.mode = 1 if mode == "warn" else 0
        if self.mode:
            warnings.warn("not every synchronizing operation is detected", stacklevel=2)


class FakeGraph:
    """A graph that was recorded by a step which notes in it what to do."""

    def __init__(self) -> None:
        self.replays = 0
        self.again: Callable[[], object] | None = None
        self.random: torch.Generator | None = None

    def register_generator_state(self, random: torch.Generator) -> None:
        self.random = random

    def replay(self) -> None:
        self.replays += 1
        assert self.again is not None
        self.again()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """Put a fake in the place of torch.cuda."""
    fake = FakeCuda()
    known = ("empty", "int64", "Generator", "Tensor")
    names = {name: getattr(torch, name) for name in known}
    monkeypatch.setattr(cuda_graph, "torch", SimpleNamespace(cuda=fake, **names))
    return fake


def doubling(cuda: FakeCuda, calls: list[bool], waits: bool = False) -> Step:
    """Return a step that doubles the numbers, and can be recorded by the fake."""

    def step(numbers: Tensor, kind: bool) -> Tensor:
        calls.append(kind)
        result = numbers * 2
        if waits and cuda.mode:
            warnings.warn(SYNCHRONIZING, stacklevel=2)
        if cuda.noting is not None:
            cuda.noting.again = lambda: result.copy_(numbers * 2)
        return result

    return step


def test_steps_are_recorded_once_they_have_warmed_up(cuda: FakeCuda) -> None:
    calls: list[bool] = []
    random = torch.Generator()
    taken = CudaGraphStep(doubling(cuda, calls), random)
    for number in range(10):
        assert taken(torch.tensor([number, 5]), False).tolist() == [2 * number, 10]
    assert len(calls) == WARM_UP + 1
    (graph,) = cuda.graphs
    assert (graph.replays, graph.random) == (10 - WARM_UP, random)
    assert cuda.mode == 0


def test_each_kind_of_step_is_recorded_by_itself(cuda: FakeCuda) -> None:
    calls: list[bool] = []
    taken = CudaGraphStep(doubling(cuda, calls), torch.Generator())
    for number in range(20):
        kind = number % 4 == 0
        assert taken(torch.tensor([number]), kind).item() == 2 * number
    assert calls.count(True) == calls.count(False) == WARM_UP + 1
    assert [graph.replays for graph in cuda.graphs] == [15 - WARM_UP, 5 - WARM_UP]
    assert taken.recorded == {False, True}


def test_a_step_that_waits_for_the_device_stays_as_written(cuda: FakeCuda) -> None:
    calls: list[bool] = []
    taken = CudaGraphStep(doubling(cuda, calls, waits=True), torch.Generator())
    for number in range(10):
        assert taken(torch.tensor([number]), False).item() == 2 * number
    assert len(calls) == 10
    assert not cuda.graphs
    assert taken.recorded == set()


def test_a_step_that_cannot_be_recorded_is_an_error_in_words(cuda: FakeCuda) -> None:
    def step(numbers: Tensor, _kind: bool) -> Tensor:
        if cuda.noting is not None:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        return numbers * 2

    taken = CudaGraphStep(step, torch.Generator())
    for _ in range(WARM_UP):
        taken(torch.tensor([1]), False)
    with pytest.raises(DeviceError, match=r"recorded.*not permitted when.*; use --device cpu$"):
        taken(torch.tensor([1]), False)
    assert cuda.here is cuda.default


def test_one_process_on_a_gpu_records() -> None:
    assert can_capture(torch.device("cuda"), 1)
    assert not can_capture(torch.device("cuda"), 2)
    assert not can_capture(torch.device("cpu"), 1)


def test_a_dial_that_is_a_tensor_stays_that_tensor() -> None:
    dial = torch.zeros(())
    assert turned(dial, 0.5) is dial
    assert dial.item() == 0.5
    assert turned(0.25, 0.5) == 0.5
