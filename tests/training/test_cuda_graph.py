"""The capture and replay of steps, with a fake torch.cuda. On a real GPU: make test-gpu."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor

from cgan_training.errors import DeviceError
from cgan_training.hardware import cuda_graph
from cgan_training.hardware.cuda_graph import (
    CAPTURE_WARM_UP_STEPS,
    CudaGraphStep,
    can_capture,
    set_value,
)

SYNCHRONIZING = "called a synchronizing CUDA operation (Triggered internally at somewhere)"


class FakeCuda:
    """The parts of torch.cuda that CudaGraphStep uses; a replay repeats the captured step."""

    def __init__(self) -> None:
        self.mode = 0
        self.current = self.default = MagicMock()
        self.graphs: list[MagicMock] = []
        self.capturing: MagicMock | None = None
        self.Stream, self.stream = MagicMock(), MagicMock()
        self.current_stream = lambda _device: self.current
        self.get_sync_debug_mode = lambda: self.mode

    def CUDAGraph(self) -> MagicMock:  # noqa: N802 - torch's name
        self.graphs.append(MagicMock())
        return self.graphs[-1]

    def set_stream(self, stream: MagicMock) -> None:
        self.current = stream

    @contextmanager
    def graph(self, graph: MagicMock, stream: MagicMock) -> Iterator[None]:
        self.capturing, self.current = graph, stream
        yield  # after an error, torch leaves its capture stream current
        self.capturing, self.current = None, self.default

    def set_sync_debug_mode(self, mode: int | str) -> None:
        self.mode = 1 if mode == "warn" else 0
        if self.mode:
            warnings.warn("not every synchronizing operation is detected", stacklevel=2)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda()
    names = {name: getattr(torch, name) for name in ("empty", "int64", "Generator", "Tensor")}
    monkeypatch.setattr(cuda_graph, "torch", SimpleNamespace(cuda=fake, **names))
    return fake


def doubling_step(
    cuda: FakeCuda, calls: list[bool], synchronizes: bool = False
) -> Callable[[Tensor, bool], Tensor]:
    """Return a step that doubles its input and that the fake can capture."""

    def step(numbers: Tensor, variant: bool) -> Tensor:
        calls.append(variant)
        result = numbers * 2
        if synchronizes and cuda.mode:
            warnings.warn(SYNCHRONIZING, stacklevel=2)
        if cuda.capturing is not None:
            cuda.capturing.replay.side_effect = lambda: result.copy_(numbers * 2)
        return result

    return step


def test_each_variant_of_a_step_is_captured_after_its_warm_up(cuda: FakeCuda) -> None:
    calls: list[bool] = []
    rng = torch.Generator()
    run = CudaGraphStep(doubling_step(cuda, calls), rng)
    for number in range(20):
        assert run(torch.tensor([number, 5]), number % 4 == 0).tolist() == [2 * number, 10]
    assert calls.count(True) == calls.count(False) == CAPTURE_WARM_UP_STEPS + 1
    assert run.graphs.keys() == {False, True}
    counts = [graph.replay.call_count for graph in cuda.graphs]
    assert counts == [15 - CAPTURE_WARM_UP_STEPS, 5 - CAPTURE_WARM_UP_STEPS]
    for graph in cuda.graphs:
        graph.register_generator_state.assert_called_once_with(rng)
    assert cuda.mode == 0


def test_a_synchronizing_step_always_runs_directly(cuda: FakeCuda) -> None:
    calls: list[bool] = []
    run = CudaGraphStep(doubling_step(cuda, calls, synchronizes=True), torch.Generator())
    for number in range(10):
        assert run(torch.tensor([number]), False).item() == 2 * number
    assert len(calls) == 10
    assert run.graphs == {}


def test_a_failed_capture_is_reported_in_one_line(cuda: FakeCuda) -> None:
    def step(numbers: Tensor, _variant: bool) -> Tensor:
        if cuda.capturing is not None:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        return numbers * 2

    run = CudaGraphStep(step, torch.Generator())
    for _ in range(CAPTURE_WARM_UP_STEPS):
        run(torch.tensor([1]), False)
    with pytest.raises(DeviceError, match=r"captured.*not permitted when.*; use --device cpu$"):
        run(torch.tensor([1]), False)
    assert cuda.current is cuda.default


def test_a_single_process_on_a_gpu_captures() -> None:
    assert can_capture(torch.device("cuda"), 1)
    assert not can_capture(torch.device("cuda"), 2)
    assert not can_capture(torch.device("cpu"), 1)


def test_values_in_tensors_are_set_in_place() -> None:
    target = torch.zeros(())
    assert set_value(target, 0.5) is target
    assert target.item() == 0.5
    assert set_value(0.25, 0.5) == 0.5
