"""The engine "local": worker processes on this machine, with one thread each.

A worker needs only a pipe to the main process, and no further thread or semaphore. So it starts in
a container that allows few processes. When the main process ends in any way, the pipe closes, and
then the worker ends too.
"""

import errno
import logging
import multiprocessing
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from cgan_runtime.bulk.job import Job
from cgan_runtime.bulk.shards import MAX_ATTEMPTS, StopWorker, Worker
from cgan_runtime.errors import WorkerError, raised_by_user_code
from cgan_runtime.inference.threads import available_threads

# The error codes for exceeded limits of processes, open files and memory.
LIMIT_ERRNOS = {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
LIMITS_REMEDY = (
    "raise the limits of processes (ulimit -u, or of the container), open files (ulimit -n) or "
    "memory"
)
# A forked child would lack onnxruntime's threads, and could inherit locks that are held.
SPAWN = multiprocessing.get_context("spawn")
_logger = logging.getLogger(__name__)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block signals while a process starts, so that a signal cannot leave it half started.

    The new process inherits the mask. A terminal sends SIGINT and SIGHUP to the workers too, but
    only the main process should handle them. prepare_signals() unblocks SIGTERM again.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    signals = {signal.SIGINT, signal.SIGHUP, signal.SIGTERM}
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def start_process(process: BaseProcess) -> None:
    """Start a process with blocked signals; raise WorkerError if a system limit forbids it."""
    try:
        with signals_blocked():
            process.start()
    except OSError as error:  # not from a signal handler, because signals are blocked
        if error.errno not in LIMIT_ERRNOS:
            raise
        raise WorkerError(f"cannot start a worker ({error.strerror}); {LIMITS_REMEDY}") from error


def prepare_signals() -> None:
    """Ignore the signals of the terminal in a worker, and let SIGTERM end it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def generate_shards(
    folder: Path,
    job: Job,
    numbers: Iterable[int],
    workers: int | None,
    provider: str,
    on_kill: Callable[[], None],
) -> Generator[int, None, None]:
    """Generate shards, and yield the number of each complete shard.

    Args:
        folder: folder of the job.
        job: the job in the folder.
        numbers: numbers of the shards to generate.
        workers: number of processes; None uses one process per CPU.
        provider: as for ImageGenerator.
        on_kill: called when a worker was killed, before its shard is generated again.

    Raises:
        WorkerError: no worker can be started, or the workers of a shard are killed repeatedly.
        CganError: a worker raised this error.
    """
    pool = _Pool(folder, job, provider)
    requested, remaining = workers or available_threads(), iter(numbers)
    max_busy = requested
    retries, kills = deque[int](), Counter[int]()
    try:
        while True:
            while len(pool.busy) < max_busy:
                number = retries.popleft() if retries else next(remaining, None)
                if number is None:
                    break
                try:
                    pool.submit(number)
                except WorkerError as error:
                    if not pool.busy:
                        raise
                    retries.append(number)
                    max_busy = len(pool.busy)
                    _logger.warning(
                        "continuing with %d of %d workers: %s", max_busy, requested, error
                    )
            if not pool.busy:
                return
            for number, is_complete in pool.results():
                if is_complete:
                    yield number
                    continue
                kills[number] += 1
                retries.append(number)
                if kills[number] == MAX_ATTEMPTS:
                    raise WorkerError(
                        f"the workers of {job.shard(number)} were killed {MAX_ATTEMPTS} times; if "
                        "memory is short, use fewer --workers, then run the command again"
                    )
                on_kill()
    finally:
        pool.stop()


class _RemoteTraceback(Exception):  # noqa: N818 - not an error
    """The traceback of an exception in a worker, as text."""


class _Pool:
    """Worker processes that start when they are needed.

    Attributes:
        busy: maps the connection of each busy worker to the number of its shard.
    """

    def __init__(self, folder: Path, job: Job, provider: str) -> None:
        self._arguments = folder, job, provider
        self._processes: dict[Connection, BaseProcess] = {}
        self.busy: dict[Connection, int] = {}

    def submit(self, number: int) -> None:
        """Give a shard to an idle worker or to a new one.

        Raises:
            WorkerError: a new worker cannot be started.
        """
        idle = self._processes.keys() - self.busy
        connection = idle.pop() if idle else self._start()
        self.busy[connection] = number
        try:
            connection.send(number)
        except OSError as error:  # the worker was killed; results() handles that
            if raised_by_user_code(error):
                raise

    def results(self) -> Iterator[tuple[int, bool]]:
        """Wait for a worker, then yield (number of a shard, whether it is complete).

        A shard is incomplete if its worker was killed.
        """
        # Windows does not handle Ctrl-C during a longer wait.
        ready = cast("list[Connection]", wait([*self.busy], timeout=1))
        for connection in ready:
            number = self.busy[connection]
            try:
                problem = connection.recv()
            except (EOFError, OSError) as error:
                if raised_by_user_code(error):
                    raise
                del self.busy[connection]
                connection.close()
                self._processes.pop(connection).join()
                yield number, False
                continue
            del self.busy[connection]
            if problem is not None:
                worker_error, text = problem
                raise worker_error from _RemoteTraceback(text)
            yield number, True

    def stop(self) -> None:
        """Stop all workers; each abandons its shard."""
        for connection in self._processes:
            connection.close()
        for process in self._processes.values():
            if process.pid:
                process.join()

    def _start(self) -> Connection:
        connection, other = SPAWN.Pipe()
        process = SPAWN.Process(target=_run_worker, args=(other, *self._arguments))
        self._processes[connection] = process  # before start(), so that stop() always finds it
        try:
            start_process(process)
        except WorkerError:
            del self._processes[connection]
            raise
        other.close()
        return connection


def _run_worker(connection: Connection, folder: Path, job: Job, provider: str) -> None:
    """Receive shard numbers and generate these shards.

    Reply to each number with None, or with the exception and its traceback as text.
    """
    prepare_signals()
    # During a shard, poll() returns True only if the main process has closed the connection.
    worker = Worker(folder, job, provider, connection.poll)
    try:
        while True:
            number = connection.recv()
            try:
                worker.generate(number)
            except StopWorker:
                return
            except Exception as error:  # noqa: BLE001 - the main process raises it
                connection.send((error, traceback.format_exc()))
            else:
                connection.send(None)
    except (EOFError, ConnectionError):  # the main process has ended
        return
