"""Systems that do not start as many threads as were requested."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cgan_runtime import thread_limit
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.thread_limit import startable_threads

STACK = 2**28  # bytes of the stack of each thread
NO_USER = 65533  # has no processes
# Each limit allows two threads. Without the check, onnxruntime hangs at the third.
LIMITS = {
    "processes": f"""
resource.setrlimit(resource.RLIMIT_NPROC, (3, 3))
os.setresuid({NO_USER}, {NO_USER}, {NO_USER})
""",
    "address space": f"""
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + {3 * STACK}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
""",
}
SCRIPT = """
import logging, os, resource, sys
import numpy as np
from cgan_runtime.inference.session_pool import SessionPool
from cgan_runtime.noise import standard_normal

content = sys.stdin.buffer.read()
feed = {{"noise": standard_normal(5, 0, 1000, 6), "label": np.arange(1000) % 10}}
(expected,) = SessionPool(content, "m.onnx", "cpu", 1).main.run(["image"], feed)
{limit}
pool = SessionPool(content, "m.onnx", "cpu", 8)
for session in (pool.main, pool.for_batch(1)):
    (images,) = session.run(["image"], feed)
    assert np.array_equal(images, expected)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits of Linux")
@pytest.mark.parametrize("name", LIMITS)
def test_session_gets_fewer_threads_if_the_system_starts_no_more(
    tiny_model: Path, name: str
) -> None:
    import resource

    if name == "processes" and os.getuid() != 0:
        pytest.skip("only root can become a user without processes")
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(limit=LIMITS[name])],
        input=tiny_model.read_bytes(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (STACK, hard)),
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert done.stderr.decode() == (
        "generating with 2 threads instead of 8: the system refuses to start more; raise the limit "
        "on threads (ulimit -u, or the pids limit of the container), or set a lower number of "
        "threads\n"
    )


class LimitedThread(threading.Thread):
    """A thread that starts only if fewer than `limit` are alive."""

    limit = 0

    def start(self) -> None:
        if sum(isinstance(each, LimitedThread) for each in threading.enumerate()) >= self.limit:
            raise RuntimeError("can't start new thread")
        super().start()


@pytest.mark.parametrize(
    ("threads", "limit", "startable"), [(1, 0, 1), (4, 6, 4), (4, 5, 3), (4, 1, 1), (4, 0, 1)]
)
def test_half_of_the_threads_are_left_to_other_programs(
    monkeypatch: pytest.MonkeyPatch, threads: int, limit: int, startable: int
) -> None:
    monkeypatch.setattr(thread_limit, "Thread", LimitedThread)
    monkeypatch.setattr(LimitedThread, "limit", limit)
    before = threading.active_count()
    assert startable_threads(threads) == startable
    assert threading.active_count() == before


def test_error_of_the_caller_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(threading.Thread):
        def start(self) -> None:
            super().start()
            raise RuntimeError("the caller's")

    monkeypatch.setattr(thread_limit, "Thread", Interrupted)
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="the caller's"):
        startable_threads(2)
    for thread in threading.enumerate():
        if isinstance(thread, Interrupted):
            thread.join(60)
    assert threading.active_count() == before


def test_generator_opens_while_the_interpreter_exits(tiny_model: Path) -> None:
    """Python 3.12 and newer start no threads in an atexit handler."""
    code = f"""
import atexit, logging
from cgan_runtime import ImageGenerator

def generate():
    print(ImageGenerator({str(tiny_model)!r}, "cpu", 2).generate(1, seed=0).shape)

atexit.register(generate)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 1, 12, 9)\n"


def test_as_many_threads_start_as_requested(tiny_model: Path) -> None:
    with ImageGenerator(tiny_model, "cpu", 5) as generator:
        assert generator._open_sessions().main.get_session_options().intra_op_num_threads == 5
