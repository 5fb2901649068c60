"""Signal handlers and other callbacks that generate images, or raise, while a call runs."""

import dis
import gc
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference.session_pool import SessionPool

SEED = 11
LABELS = [3, 1, 4]
# The first call fills the thread's tensors, the next ones use noise that was prefetched.
CALLS: dict[str, Callable[[ImageGenerator], bytes]] = {
    "single images": lambda model: b"".join(
        model.generate(label, seed=SEED, start=index).tobytes()
        for index, label in enumerate(LABELS)
    ),
    "a batch": lambda model: model.generate(LABELS, seed=SEED).tobytes(),
    "a stream": lambda model: b"".join(
        batch.images.tobytes() for batch in model.stream(LABELS, seed=SEED, count=7, batch_size=2)
    ),
}


@cache
def interruptible(code: CodeType) -> frozenset[int]:
    """Return the offsets before which CPython runs signal handlers: after calls and jumps back."""
    names = ("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE")
    pairs = pairwise(dis.get_instructions(code))
    return frozenset(second.offset for first, second in pairs if first.opname.startswith(names))


@contextmanager
def at_each_instruction(action: Callable[[], object]) -> Iterator[None]:
    """Run an action wherever CPython could run a signal handler in our code or onnxruntime's."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_globals.get("__name__", "").startswith(("cgan_runtime", "onnxruntime")):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_lasti in interruptible(frame.f_code):
            action()
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(previous)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_may_interrupt_another_at_each_instruction(
    tiny_model: Path, name: str, threads: int
) -> None:
    with ImageGenerator(tiny_model, "cpu", threads) as model:
        expected = {each: CALLS[each](model) for each in CALLS}
    with ImageGenerator(tiny_model, "cpu", threads) as model:
        names, wrong, interruptions = itertools.cycle(CALLS), [], itertools.count()

        def interrupt() -> None:
            next(interruptions)
            other = next(names)
            if CALLS[other](model) != expected[other]:
                wrong.append(other)

        with at_each_instruction(interrupt):
            result = CALLS[name](model)
        assert result == expected[name]
        assert not wrong
        assert next(interruptions) > 20
        assert CALLS[name](model) == expected[name]


ERRORS = [TimeoutError, RuntimeError]  # pybind11 also raises RuntimeError, for C++ exceptions


def is_interrupted(work: Callable[[], object], number: int, kind: type[Exception]) -> bool:
    """Run work with an exception at this instruction; return whether the exception arrived."""
    countdown, raised = itertools.count(number, -1), kind("the caller's alarm")

    def interrupt() -> None:
        if next(countdown) == 0:
            raise raised

    try:
        with at_each_instruction(interrupt):
            work()
    except kind as error:
        if error is not raised or error.__cause__:
            raise AssertionError("the exception was changed") from error
        return True
    return False


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ERRORS)
def test_an_exception_at_any_instruction_leaves_no_wrong_image(
    tiny_model: Path, name: str, kind: type[Exception]
) -> None:
    with ImageGenerator(tiny_model, "cpu", threads=2) as model:
        expected, number = CALLS[name](model), 0
        while is_interrupted(lambda: CALLS[name](model), number, kind):
            assert CALLS[name](model) == expected
            number += 1
        assert number > 20


@pytest.mark.parametrize("kind", ERRORS)
def test_an_exception_while_opening_passes_through_unchanged(
    tiny_model: Path, kind: type[Exception]
) -> None:
    content, number = tiny_model.read_bytes(), 0

    def open_both() -> None:
        SessionPool(content, "m.onnx", "cpu", 2).for_batch(1)

    while is_interrupted(open_both, number, kind):
        number += 3
    assert number > 50
    with ThreadPoolExecutor(1) as executor:  # a thread would wait for a lock that was not released
        executor.submit(open_both).result()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no interval timers")
def test_a_signal_handler_may_generate(tiny_model: Path) -> None:
    with ImageGenerator(tiny_model, "cpu", threads=2) as model:
        expected = {name: CALLS[name](model) for name in CALLS}
        handled: list[bool] = []

        def handle(*_: object) -> None:
            name = (*CALLS,)[len(handled) % len(CALLS)]
            handled.append(CALLS[name](model) == expected[name])
            signal.setitimer(signal.ITIMER_REAL, 0.001)

        previous = signal.signal(signal.SIGALRM, handle)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            while len(handled) < 200:
                for name, call in CALLS.items():
                    assert call(model) == expected[name]
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)  # a late handler would set it again
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        assert all(handled)


def test_a_hook_of_the_garbage_collector_may_generate(tiny_model: Path) -> None:
    with ImageGenerator(tiny_model, "cpu", threads=1) as model:
        expected = {name: call(model) for name, call in CALLS.items()}
        nested: list[bool] = []

        def collect(phase: str, _: object) -> None:
            if phase == "start":
                nested.append(CALLS["single images"](model) == expected["single images"])

        threshold = gc.get_threshold()
        gc.callbacks.append(collect)
        try:
            gc.set_threshold(1)
            results = {name: call(model) for name, call in CALLS.items()}
        finally:
            gc.set_threshold(*threshold)
            gc.callbacks.remove(collect)
        assert results == expected
        assert nested
        assert all(nested)
