"""Processes of cgan-train that start fast: a server imports PyTorch once and forks them."""

import multiprocessing
import os
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["cgan_training.run", "matplotlib.figure", "sklearn.datasets", "torch._dynamo"]
)
MAX_SECONDS = 120  # of each wait


class ForkedProcess:
    """A process that runs cgan-train, or a Python script, in a folder."""

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        script: Path | None = None,
        environment: Mapping[str, str] | None = None,
        ignored: signal.Signals | None = None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp())
        self._stdout, self._stderr = (self._folder / name for name in ("out", "err"))
        self._process = SERVER.Process(
            target=_run,
            args=(
                folder,
                [*map(str, arguments)],
                script,
                {"OMP_NUM_THREADS": "1", **(environment or {})},
                ignored,
                (self._stdout, self._stderr),
            ),
        )
        self._process.start()

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def first_error_line(self) -> str:
        """Wait for a line on stderr, and return it."""
        wait_until(lambda: self._stderr.exists() and "\n" in self._stderr.read_text())
        return self._stderr.read_text().splitlines()[0]

    def finish(self) -> tuple[int | None, str, str]:
        """Wait for the end; return the exit code, stdout and stderr."""
        self._process.join(MAX_SECONDS)
        result = self._process.exitcode, self._stdout.read_text(), self._stderr.read_text()
        shutil.rmtree(self._folder)
        return result


def wait_until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + MAX_SECONDS
    while not is_done() and time.monotonic() < deadline:
        time.sleep(0.02)


def _run(
    folder: Path,
    arguments: list[str],
    script: Path | None,
    environment: Mapping[str, str],
    ignored: signal.Signals | None,
    outputs: tuple[Path, Path],
) -> None:
    """Run in the new process."""
    for path, descriptor in zip(outputs, (1, 2), strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.update(environment)
    if ignored is not None:
        signal.signal(ignored, signal.SIG_IGN)
    if script is not None:
        sys.argv = [str(script), *arguments]
        runpy.run_path(str(script), run_name="__main__")
        return
    from cgan_training.cli import cgan_train

    sys.argv = ["cgan-train", *arguments]
    cgan_train()
