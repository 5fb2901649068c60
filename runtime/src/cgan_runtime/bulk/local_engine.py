"""The engine "local": worker processes on this machine, with one thread each."""

import errno
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.synchronize import Event
from pathlib import Path

from cgan_runtime.bulk.job import Job
from cgan_runtime.bulk.shards import Worker
from cgan_runtime.errors import WorkerError, is_callers
from cgan_runtime.inference.threads import available_threads

MAX_FAILURES = 3  # killed workers in a row, without a finished shard between them
LIMITS = {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # of processes, files and memory
# A forked child would lack onnxruntime's threads, and could inherit locks that are held.
SPAWN = multiprocessing.get_context("spawn")


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
        WorkerError: workers cannot be started, or are killed repeatedly.
        CganError: as raised by a worker.
    """
    workers = workers or available_threads()
    remaining, queue, failures = iter(numbers), deque[int](), 0
    while True:
        try:
            stop = SPAWN.Event()
            pool = ProcessPoolExecutor(workers, SPAWN, _start_worker, (folder, job, provider, stop))
        except (ImportError, OSError) as error:
            raise _explain_start(error, workers) from error
        pending: dict[Future[None], int] = {}
        try:
            while True:
                queue.extend(islice(remaining, 2 * workers - len(pending) - len(queue)))
                while queue:
                    pending[_submit(pool, queue[0], workers)] = queue[0]
                    queue.popleft()
                if not pending:
                    return
                # Windows does not handle Ctrl-C during a longer wait.
                for future in wait(pending, timeout=1, return_when=FIRST_COMPLETED).done:
                    future.result()
                    failures = 0
                    yield pending.pop(future)
        except BrokenProcessPool as error:
            failures += 1
            queue.extend(pending.values())
            if failures == MAX_FAILURES:
                raise WorkerError(
                    f"workers were killed {failures} times in a row; if memory is short, use fewer "
                    "--workers, then run the command again"
                ) from error
            on_kill()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, number: int, workers: int) -> "Future[None]":
    """Submit a shard, which may start workers."""
    try:
        with signals_blocked():
            return pool.submit(_generate, number)
    except BrokenProcessPool:
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError: a thread cannot be started
        raise _explain_start(error, workers) from error


def _explain_start(error: Exception, workers: int) -> Exception:
    """Return the WorkerError for an error of the operating system, or else the error itself."""
    if is_callers(error):
        return error
    if isinstance(error, RuntimeError) or getattr(error, "errno", None) in LIMITS:
        return WorkerError(
            f"cannot start {workers} workers ({error}); use fewer --workers, or raise the limits "
            "of processes (ulimit -u, or of the container), open files (ulimit -n) or memory"
        )
    return WorkerError(
        f"cannot start workers, which need semaphores in /dev/shm ({error}); mount it for "
        "writing, or generate the parts with cgan-run --shard I/N"
    )


_workers: list[Worker | WorkerError] = []  # in a worker process, its only Worker


def _start_worker(folder: Path, job: Job, provider: str, stop: Event) -> None:
    prepare_signals()
    try:
        threading.Thread(target=_exit_with_parent, daemon=True).start()
    except RuntimeError as error:  # an exception here would look like a killed worker
        message = f"a worker cannot start a thread ({error}); use fewer --workers, or raise the "
        _workers.append(WorkerError(f"{message}limit of processes (ulimit -u, or the container's)"))
    else:
        _workers.append(Worker(folder, job, provider, stop.is_set))


def _exit_with_parent() -> None:
    """Exit when the main process is killed; nobody else would stop this worker."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _generate(number: int) -> None:
    (worker,) = _workers
    if isinstance(worker, WorkerError):
        raise worker
    worker.generate(number)
