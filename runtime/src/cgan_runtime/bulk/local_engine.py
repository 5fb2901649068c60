"""The engine "local": worker processes on this machine, with one thread each."""

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
from cgan_runtime.errors import WorkerError
from cgan_runtime.inference.threads import available_threads

MAX_FAILURES = 3  # killed workers in a row, without a finished shard between them
# A forked child would lack onnxruntime's threads, and could inherit locks that are held.
SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Block SIGINT while processes start, so that they inherit the mask and keep it.

    On Ctrl-C, a terminal sends SIGINT to the workers too. Only the main process must react to it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


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
            raise WorkerError(
                f"cannot start workers, which need semaphores in /dev/shm ({error}); mount it for "
                "writing, or generate the parts with cgan-run --shard I/N"
            ) from error
        pending: dict[Future[None], int] = {}
        try:
            while True:
                queue.extend(islice(remaining, 2 * workers - len(pending) - len(queue)))
                while queue:
                    with sigint_blocked():
                        future = pool.submit(_generate, queue[0])
                    pending[future] = queue.popleft()
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


_workers: list[Worker] = []  # in a worker process, its only Worker


def _start_worker(folder: Path, job: Job, provider: str, stop: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _workers.append(Worker(folder, job, provider, stop.is_set))


def _exit_with_parent() -> None:
    """Exit when the main process is killed; nobody else would stop this worker."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _generate(number: int) -> None:
    _workers[0].generate(number)
