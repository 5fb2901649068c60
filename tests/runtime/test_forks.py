"""Processes that are forked from one that has a generator, as a preloading web server does."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")

# A script generates images in `check`, in the parent and in its children, which exit normally.
PRELUDE = """
import multiprocessing, os, signal, sys, threading, time
from cgan_runtime import ImageGenerator
from cgan_runtime.inference import forks

LABELS = [index % 10 for index in range(1000)]
model = ImageGenerator({path!r}, "cpu", 2)

def images(model):
    batches = model.stream(LABELS, seed=5, count=2, batch_size=700)
    return [
        *(model.generate(3, seed=5, start=index).tobytes() for index in range(40)),
        model.generate(LABELS, seed=5).tobytes(),
        *(batch.images.tobytes() for batch in batches),
    ]

def check():
    assert images(model) == expected

def fork(work):
    if pid := os.fork():
        return pid
    work()
    sys.exit(0)  # the interpreter destroys its objects

def wait(*pids):
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0

expected = images(model)
"""
SCRIPTS = {
    "children that exit": "wait(*(fork(lambda: None) for _ in range(3)))",
    "children that generate": "wait(*(fork(check) for _ in range(3)))",
    "a grandchild": "wait(fork(lambda: (check(), wait(fork(check)), check())))",
    "a child that closes the generator": """
wait(fork(model.close), fork(lambda: (check(), model.close())))
""",
    "a child of a parent that closes it": """
wait(fork(check))
model.close()
wait(fork(lambda: None))
""",
    "a stream that the parent began": """
stream = model.stream(LABELS, seed=5, count=2, batch_size=700)
first = next(stream).images.tobytes()
def finish():
    assert [first, *(batch.images.tobytes() for batch in stream)] == expected[-3:]
wait(fork(finish))
finish()
""",
    "a generator that was not used": """
unused = ImageGenerator({path!r}, "cpu", 2)
def use():
    assert images(unused) == expected
wait(fork(use), fork(lambda: None))
use()
""",
    "a file that was deleted": "os.unlink({path!r}); wait(fork(check))",
    "multiprocessing": """
def work(_):
    check()
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.map(work, range(4))
""",
    "a signal handler that forks": """
signal.signal(signal.SIGALRM, lambda *_: wait(fork(check)))
signal.setitimer(signal.ITIMER_REAL, 0.01)
before = time.monotonic()
while signal.getitimer(signal.ITIMER_REAL)[0] or time.monotonic() < before + 0.1:
    check()
""",
    "threads that generate and open": """
def work(make):
    while not done:
        assert images(make()) == expected
done = False
makers = [lambda: model, lambda: ImageGenerator({path!r}, "cpu", 2)] * 2
threads = [threading.Thread(target=work, args=(each,)) for each in makers]
for thread in threads:
    thread.start()
for _ in range(10):
    wait(fork(lambda: (check(), images(ImageGenerator({path!r}, "cpu", 2)))))
done = True
for thread in threads:
    thread.join()
""",
    "a thread that forks": """
thread = threading.Thread(target=lambda: wait(fork(check)))
thread.start()
thread.join()
""",
    "a lock that is held": """
def hold():
    with forks.NATIVE_LOCK:
        held.set()
        time.sleep(0.2)
held = threading.Event()
threading.Thread(target=hold).start()
held.wait()
wait(fork(lambda: (check(), ImageGenerator({path!r}, "cpu", 2))))
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_forked_process_generates_the_same_images(
    tiny_model: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_model.read_bytes())
    script = PRELUDE + SCRIPTS[name] + "\ncheck() if model._sessions else None"
    script = script.replace("{path!r}", repr(str(path)))
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert process.communicate(timeout=120)[0] == b""
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # children that hang
    assert process.returncode == 0
