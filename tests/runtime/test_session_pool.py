"""One thread for small batches, all threads for large ones."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cgan_runtime.errors import ProviderError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference import session_pool
from cgan_runtime.inference.session import OpenSession, open_session
from cgan_runtime.inference.session_pool import MAX_SINGLE_THREAD_BYTES, SessionPool
from cgan_runtime.model_file.reading import SHIPPED_MODEL


def threads(opened: Any) -> int:
    return int(opened.get_session_options().intra_op_num_threads)


@pytest.fixture
def model() -> bytes:
    return SHIPPED_MODEL.read_bytes()


def test_small_batches_use_one_thread(model: bytes) -> None:
    pool = SessionPool(model, "m.onnx", "cpu", 3)
    assert threads(pool.main) == 3
    limit = MAX_SINGLE_THREAD_BYTES // len(model)
    assert 32 < limit < 1024
    assert threads(pool.for_batch(1)) == 1
    assert pool.for_batch(limit) is pool.for_batch(1)
    assert pool.for_batch(limit + 1) is pool.main


def test_large_model_uses_all_threads(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_pool, "MAX_SINGLE_THREAD_BYTES", len(model) - 1)
    pool = SessionPool(model, "m.onnx", "cpu", 2)
    assert pool.for_batch(1) is pool.main


def test_one_thread_needs_one_session(model: bytes) -> None:
    pool = SessionPool(model, "m.onnx", "cpu", 1)
    assert pool.for_batch(1) is pool.main


def test_second_session_is_opened_once(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = SessionPool(model, "m.onnx", "cpu", 2)
    calls: list[Any] = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return open_session(*arguments)

    monkeypatch.setattr(session_pool, "open_session", counted)
    with ThreadPoolExecutor(8) as executor:
        assert len(set(map(id, executor.map(pool.for_batch, [1] * 8)))) == 1
    assert len(calls) == 1


def test_both_sessions_generate_the_same_images() -> None:
    with ImageGenerator(provider="cpu", threads=2) as two, ImageGenerator(threads=1) as one:
        for count in (1, 2, 100, 1000):
            labels = [index % 10 for index in range(count)]
            expected = one.generate(labels, seed=3)
            np.testing.assert_array_equal(two.generate(labels, seed=3), expected)


def test_forked_process_cannot_use_the_parents_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA cannot be initialized again after a fork."""
    in_parent = SimpleNamespace(
        get_providers=lambda: ["CUDAExecutionProvider"],
        get_session_options=lambda: SimpleNamespace(intra_op_num_threads=1),
    )

    def fail(*_: object) -> None:
        raise ProviderError("NVIDIA's driver finds no device (code 3)")

    opened = OpenSession(in_parent, {}, None)
    monkeypatch.setattr(session_pool, "open_session", lambda *_: opened)
    pool = SessionPool(b"model", "m.onnx", "cuda", 1)
    assert pool.main is in_parent
    pool.abandon_sessions()
    monkeypatch.setattr(session_pool, "open_session", fail)
    with pytest.raises(ProviderError, match=r"forked process cannot use cuda, .* spawn instead"):
        _ = pool.main
