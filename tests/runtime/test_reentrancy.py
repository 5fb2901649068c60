"""Signal handlers and other callbacks that generate images, or raise, while a call runs."""

import dis
import gc
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NoReturn

import pytest

from cgan_runtime.bulk.job import read_job
from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.images.staging import staged_folder
from cgan_runtime.images.writers import _idx_shape
from cgan_runtime.inference.session import import_onnxruntime
from cgan_runtime.inference.session_pool import SessionPool
from cgan_runtime.inference.threads import available_threads
from cgan_runtime.labels import parse_labels
from cgan_runtime.model_file.contract import ModelInfo, read_info, tensor_specs
from cgan_runtime.model_file.reading import read_model_file
from cgan_runtime.model_file.validation.graph_validation import validate_model
from cgan_runtime.noise import standard_normal

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
        batch.images.tobytes() for batch in model.stream(LABELS, seed=SEED, count=2, batch_size=4)
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
    assert next(countdown) >= 0, "the exception was lost"
    return False


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, TimeoutError) for name in CALLS), ("a batch", RuntimeError)]
)
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
    import_onnxruntime()  # its own modules drop exceptions while they are imported

    def open_both() -> None:
        SessionPool(content, "m.onnx", "cpu", 2).for_batch(1)

    while is_interrupted(open_both, number, kind):
        number += 3
    assert number > 50
    with ThreadPoolExecutor(1) as executor:  # a thread would wait for a lock that was not released
        executor.submit(open_both).result()


class Count:
    """An integer whose method runs for longer than one instruction."""

    def __index__(self) -> int:
        return 1


def read_empty_idx(folder: Path) -> tuple[int, ...]:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(b"damaged")
    return _idx_shape(path)


def reread_info(model: ImageGenerator) -> ModelInfo:
    inputs, outputs = tensor_specs(model.info.noise_dim, model.info.image_shape)
    return read_info(model.info.to_metadata(), inputs, outputs, "m.onnx")


def read_incomplete_job(folder: Path) -> None:
    (folder / "job.json").write_text('{"version": 1}')
    with suppress(OutputError):
        read_job(folder)


def write(path: Path) -> None:
    with atomic_write(path) as file:
        file.write(b"content")


def publish(folder: Path) -> None:
    with staged_folder(folder, str) as stage:
        (stage / "a.png").write_bytes(b"content")


# Each function itself catches some types of READERS_ERRORS. The number is the step between the
# interrupted instructions.
READERS: dict[str, tuple[int, Callable[[ImageGenerator, Path], object]]] = {
    "metadata": (29, lambda model, _: reread_info(model)),
    "a graph": (199, lambda model, _: validate_model(model.model_path.read_bytes(), "m.onnx")),
    "a model file": (1, lambda model, _: read_model_file(model.model_path)),
    "a job": (1, lambda _, folder: read_incomplete_job(folder)),
    "a job that is missing": (1, lambda _, folder: read_job(folder / "none")),
    "an IDX file": (1, lambda _, folder: read_empty_idx(folder)),
    "labels": (1, lambda model, _: parse_labels(["0", "1"], model.info.class_names)),
    "noise": (1, lambda *_: standard_normal(Count(), Count(), Count(), Count())),
    "the CPU quota": (5, lambda *_: available_threads()),
    "a new file": (11, lambda _, folder: write(folder / "new")),
    "a published folder": (11, lambda _, folder: publish(folder / "pictures")),
}
READERS_ERRORS = [*ERRORS, ValueError, TypeError, KeyError, IndexError, OSError, OverflowError]


# An exception between open() and the beginning of its block leaves the file open until it is
# garbage-collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", READERS)
def test_an_exception_while_reading_or_writing_passes_through_unchanged(
    tiny_model: Path, tmp_path: Path, name: str
) -> None:
    (step, read), kinds, number = READERS[name], itertools.cycle(READERS_ERRORS), 0
    with ImageGenerator(tiny_model, "cpu", threads=1) as model:
        model.generate(0, seed=1)  # fills the caches
        while is_interrupted(lambda: read(model, tmp_path), number, next(kinds)):
            number += step
        assert number > 0
    gc.collect()


def test_an_exception_while_json_is_parsed_passes_through_unchanged(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> NoReturn:
        raise ValueError("the caller's alarm")

    with ImageGenerator(tiny_model, "cpu", threads=1) as model:
        monkeypatch.setattr("json.loads", interrupt)
        with pytest.raises(ValueError, match=r"^the caller's alarm$"):
            reread_info(model)


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
