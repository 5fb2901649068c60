"""The engine that is there with Python: processes of this machine, one thread each."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.synchronize import Event
from pathlib import Path

from cgan_runtime.bulk.job import Job
from cgan_runtime.bulk.shards import KILLED, Worker
from cgan_runtime.bulk.signals import interrupts_held_back
from cgan_runtime.errors import WorkerError

NO_SEMAPHORES = (
    "workers cannot be started here ({}): their semaphores lie in /dev/shm; mount it for writing, "
    "or draw the parts with cgan-run --shard I/N"
)
MOST_LOSSES = 3  # in a row, with no shard between them
# Not fork: onnxruntime's threads would not live in the child, and its locks might be taken.
SPAWN = multiprocessing.get_context("spawn")


def drawn(
    folder: Path,
    job: Job,
    numbers: Iterable[int],
    workers: int,
    provider: str,
    note: Callable[[str], None],
) -> Generator[int, None, None]:
    """Draw shards, and yield the number of each that is whole.

    Args:
        folder: the job's.
        job: which the folder holds.
        numbers: of the shards.
        workers: processes.
        provider: as of ImageGenerator.
        note: told when a process was killed.

    Raises:
        WorkerError: the processes cannot be started, or are killed again and again.
        CganError: what a worker raised.
    """
    more, again = iter(numbers), deque[int]()
    losses = 0
    while True:
        try:
            stop = SPAWN.Event()
            pool = ProcessPoolExecutor(workers, SPAWN, _begin, (folder, job, provider, stop))
        except (ImportError, OSError) as error:
            raise WorkerError(NO_SEMAPHORES.format(error)) from error
        waiting: dict[Future[None], int] = {}
        try:
            while True:
                while len(waiting) < 2 * workers:
                    again.extend(() if again else islice(more, 1))
                    if not again:
                        break
                    with interrupts_held_back():
                        waiting[pool.submit(_draw, again[0])] = again[0]
                    again.popleft()
                if not waiting:
                    return
                # Windows takes no Ctrl-C while it waits for longer.
                done, _ = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    losses = 0
                    yield waiting.pop(future)
        except BrokenProcessPool as error:
            losses += 1
            again.extend(waiting.values())
            if losses == MOST_LOSSES:
                raise WorkerError(
                    f"workers were killed {losses} times in a row; if memory is short, take fewer "
                    "--workers, and run it again"
                ) from error
            note(KILLED)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


_workers: list[Worker] = []  # in a worker's process, it


def _begin(folder: Path, job: Job, provider: str, stop: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _workers.append(Worker(folder, job, provider, stop.is_set))


def _end_with_parent() -> None:
    """End this process when the one that started it is killed: nobody waits for it any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _draw(number: int) -> None:
    _workers[0].draw(number)
