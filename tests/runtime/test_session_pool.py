"""One thread for little work, all of them for much."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cgan_runtime.generator import SHIPPED_MODEL, ImageGenerator
from cgan_runtime.inference import session, session_pool
from cgan_runtime.inference.session_pool import SessionPool


def threads(opened: Any) -> int:
    return int(opened.get_session_options().intra_op_num_threads)


@pytest.fixture
def model() -> bytes:
    return SHIPPED_MODEL.read_bytes()


def test_a_few_images_take_one_thread_and_many_take_all(model: bytes) -> None:
    opened = SessionPool(model, "m.onnx", "cpu", 3)
    assert threads(opened.main) == 3
    few = session_pool.LITTLE // len(model)
    assert 32 < few < 1024
    assert threads(opened.of(1)) == 1
    assert opened.of(few) is opened.of(1)
    assert opened.of(few + 1) is opened.main


def test_a_large_model_takes_all(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_pool, "LITTLE", len(model) - 1)
    opened = SessionPool(model, "m.onnx", "cpu", 2)
    assert opened.of(1) is opened.main


def test_one_thread_needs_one_session(model: bytes) -> None:
    opened = SessionPool(model, "m.onnx", "cpu", 1)
    assert opened.of(1) is opened.main


def test_the_second_is_opened_once(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = SessionPool(model, "m.onnx", "cpu", 2)
    calls = []
    really = session.open_session

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return really(*arguments)

    monkeypatch.setattr(session_pool, "open_session", counted)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(id, pool.map(opened.of, [1] * 8)))) == 1
    assert len(calls) == 1


def test_both_draw_the_same(shipped_labels: list[int]) -> None:
    with ImageGenerator(provider="cpu", threads=2) as two, ImageGenerator(threads=1) as one:
        for count in (1, 2, 100, 1000):
            labels = shipped_labels[:count]
            wanted = one.generate(labels, seed=3)
            np.testing.assert_array_equal(two.generate(labels, seed=3), wanted)


@pytest.fixture
def shipped_labels() -> list[int]:
    return [index % 10 for index in range(1000)]


def test_the_file_may_go_once_it_is_read(tmp_path: Path, model: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model)
    with ImageGenerator(path, "cpu", threads=2) as generator:
        path.unlink()
        assert generator.generate(7, seed=1).shape == (1, 1, 28, 28)
