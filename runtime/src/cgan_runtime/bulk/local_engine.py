"""The engine "local": worker processes on this machine, with one thread each.

Each worker has a pipe to the main process, and nothing else: no further thread and no semaphore, so
that it also starts where a container allows few processes. The pipe closes when the main process
ends in any way, and then the worker ends too.
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
from cgan_runtime.bulk.shards import StopWorker, Worker
from cgan_runtime.errors import WorkerError, is_callers
from cgan_runtime.inference.threads import available_threads

MAX_KILLS = 3  # of the workers of one shard
LIMITS = {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # of processes, files and memory
LIMITS_REMEDY = (
    "raise the limits of processes (ulimit -u, or of the container), open files (ulimit -n) or "
    "memory"
)
# A forked child would lack onnxruntime's threads, and could inherit locks that are held.
SPAWN = multiprocessing.get_context("spawn")
_logger = logging.getLogger(__name__)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block signals while processes start, so that none of them is left half started.

    The processes inherit the mask. On Ctrl-C, or when it is closed, a terminal signals the workers
    too, but only the main process must react. prepare_signals() unblocks SIGTERM again.
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
    """Start a process with blocked signals; raise WorkerError if a limit of the system forbids it.

    The exceptions of a signal handler are none of these: it does not run while signals are blocked.
    """
    try:
        with signals_blocked():
            process.start()
    except OSError as error:
        if error.errno not in LIMITS:
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
        job: the job that the folder holds.
        numbers: numbers of the shards to generate.
        workers: number of processes; None uses one for each CPU.
        provider: as for ImageGenerator.
        on_kill: called when a worker was killed, before its shard is generated again.

    Raises:
        WorkerError: no worker can be started, or the workers of a shard are killed repeatedly.
        CganError: as raised by a worker.
    """
    pool = _Pool(folder, job, provider)
    workers, remaining, more = workers or available_threads(), iter(numbers), True
    retries, kills = deque[int](), Counter[int]()
    try:
        while more or retries or pool.busy:
            while len(pool.busy) < workers and (more or retries):
                number = retries.popleft() if retries else next(remaining, None)
                if number is None:
                    more = False
                    continue
                try:
                    pool.submit(number)
                except WorkerError as error:
                    if not pool.busy:
                        raise
                    retries.append(number)
                    workers = len(pool.busy)
                    _logger.warning("only %d workers generate the shards: %s", workers, error)
            for number, finished in pool.results():
                if finished:
                    yield number
                    continue
                kills[number] += 1
                retries.append(number)
                if kills[number] == MAX_KILLS:
                    raise WorkerError(
                        f"the workers of {job.shard(number)} were killed {MAX_KILLS} times; if "
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
        busy: the number of the shard that each busy worker generates.
    """

    def __init__(self, folder: Path, job: Job, provider: str) -> None:
        self._arguments = folder, job, provider
        self._processes: dict[Connection, BaseProcess] = {}
        self.busy: dict[Connection, int] = {}

    def submit(self, number: int) -> None:
        """Give a shard to an idle worker or to a new one.

        Raises:
            WorkerError: a new one cannot be started.
        """
        idle = self._processes.keys() - self.busy
        connection = idle.pop() if idle else self._start()
        self.busy[connection] = number
        try:
            connection.send(number)
        except OSError as error:  # the worker was killed, as results() will find
            if is_callers(error):
                raise

    def results(self) -> Iterator[tuple[int, bool]]:
        """Wait, then yield numbers of shards, each with whether it is complete.

        Those that are not complete had a worker that was killed.
        """
        # Windows does not handle Ctrl-C during a longer wait.
        ready = cast("list[Connection]", wait([*self.busy], timeout=1) if self.busy else [])
        for connection in ready:
            number = self.busy[connection]
            try:
                problem = connection.recv()
            except (EOFError, OSError) as closed:
                if is_callers(closed):
                    raise
                del self.busy[connection]
                connection.close()
                self._processes.pop(connection).join()
                yield number, False
                continue
            del self.busy[connection]
            if problem is not None:
                error, text = problem
                raise error from _RemoteTraceback(text)
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
        self._processes[connection] = process  # before a signal can arrive
        try:
            start_process(process)
        except WorkerError:
            del self._processes[connection]
            raise
        other.close()
        return connection


def _run_worker(connection: Connection, folder: Path, job: Job, provider: str) -> None:
    """Generate the shards whose numbers arrive; send None for each, or the error that ended it."""
    prepare_signals()
    worker = Worker(folder, job, provider, connection.poll)  # true when the connection closes
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
