"""The engine for several machines: Ray Data, with an actor a worker.

Only the shards' numbers travel through Ray. Each worker draws into the job's folder itself, which
all machines share, so nothing large is moved or kept in memory.

Ray has a process of its own here. It takes the signals of a process that it is in, writes to its
stdout, and ends it without a word when the machine's Ray dies.
"""

import multiprocessing
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cgan_runtime import errors
from cgan_runtime.bulk.job import SHARDS, Job
from cgan_runtime.bulk.shards import KILLED, Worker
from cgan_runtime.bulk.signals import interrupts_held_back
from cgan_runtime.errors import CganError, InputError, InstallError, WorkerError

MOST_BEGUN = 3  # times that a shard is begun: Ray itself would do it for ever
PATIENCE = 10  # seconds that a cluster may take to answer, or Ray to end
AT_ONCE = 1000  # shards that Ray is told of together: what it keeps of them stays small
MISSING = "--engine ray needs Ray; pip install 'cgan-runtime[ray]'"
LOGS = f"{tempfile.gettempdir()}/ray/session_latest/logs"
SPAWN = multiprocessing.get_context("spawn")


def check_installed() -> None:
    """Check that Ray is there, without its import of seconds.

    Raises:
        InstallError: it is not.
    """
    if find_spec("ray") is None:
        raise InstallError(MISSING)


def drawn(
    folder: Path,
    job: Job,
    numbers: Iterable[int],
    workers: int | None,
    provider: str,
    note: Callable[[str], None],
    *,
    debug: bool = False,
) -> Generator[int, None, None]:
    """Draw shards, and yield the number of each that is whole.

    Args:
        folder: the job's, which all machines share.
        job: which the folder holds.
        numbers: of the shards.
        workers: actors, each of one CPU; None takes as many as the cluster has CPUs.
        provider: as of ImageGenerator; "cuda" gives each worker a GPU.
        note: told when a worker died.
        debug: whether to show what Ray says.

    Raises:
        WorkerError: Ray cannot be reached or started, or workers die again and again.
        InputError: the cluster has fewer CPUs than workers.
        CganError: what a worker raised.
    """
    more = iter(numbers)
    some = list(islice(more, AT_ONCE))
    if not some:
        return
    here, there = SPAWN.Pipe()
    driver = SPAWN.Process(
        target=_drive, args=(there, folder.resolve(), job, workers, provider, debug)
    )
    with interrupts_held_back():
        driver.start()
    there.close()
    try:
        while some:
            here.send(some)
            for _ in some:
                yield _number(here.recv(), note)
            some = list(islice(more, AT_ONCE))
    except (EOFError, OSError) as error:
        raise WorkerError(f"Ray has died; look at its logs in {LOGS}, and run it again") from error
    except BaseException:
        driver.terminate()
        raise
    finally:
        here.close()  # the driver's sign to end
        driver.join(PATIENCE)
        driver.kill()


def _number(row: dict[str, Any], note: Callable[[str], None]) -> int:
    """Return the number of a shard that was drawn.

    Raises:
        CganError: it was not.
    """
    if row["error"]:
        error: CganError = getattr(errors, row["kind"])(row["error"])
        raise error
    if row["begun"] > 1:
        note(KILLED)
    return int(row["number"])


# In the process that Ray has.


def _drive(
    there: Connection, folder: Path, job: Job, workers: int | None, provider: str, debug: bool
) -> None:
    """Draw the shards whose numbers come in lists, and send a row for each, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not debug:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    try:
        with _cluster(workers) as (ray, cpus):
            while True:
                numbers = there.recv()
                size = min(workers or cpus, len(numbers))
                for row in _rows(ray, folder, job, numbers, size, provider):
                    there.send(row)
    except (EOFError, BrokenPipeError):
        return
    except CganError as error:
        there.send({"kind": type(error).__name__, "error": str(error)})
    except Exception as error:  # Ray's share no base but this one
        lines = str(error).strip().splitlines() or [type(error).__name__]
        text = f"Ray gave up: {lines[-1].strip()}; look at its logs in {LOGS}, or use --debug"
        there.send({"kind": WorkerError.__name__, "error": text})
        if debug:
            raise


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send them
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InstallError(f"{MISSING} ({error})") from error
    return ray


@contextmanager
def _cluster(workers: int | None) -> Iterator[tuple[Any, int]]:
    """Connect to Ray where it runs, or start it on this machine; yield it and its number of CPUs.

    Raises:
        InstallError: it is not installed, or without Ray Data.
        WorkerError: it cannot be reached or started.
        InputError: it has fewer CPUs than there are to be workers.
    """
    ray = _import_ray()
    try:
        _connect(ray, workers)
    except (OSError, ValueError, RuntimeError) as error:
        said = str(error).strip().splitlines()[-1]
        raise WorkerError(
            f"Ray cannot be reached or started: {said}; look at RAY_ADDRESS and at `ray status`"
        ) from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if workers is not None and workers > cpus:
            raise InputError(f"Ray has {cpus} CPUs here, too few for {workers} workers; take fewer")
        yield ray, cpus
    finally:
        ray.shutdown()


def _connect(ray: Any, workers: int | None) -> None:
    """Connect to the cluster that RAY_ADDRESS names, or this machine's, or start one here."""
    options = {"log_to_driver": False, "logging_level": "CRITICAL", "include_dashboard": False}
    address = os.environ.get("RAY_ADDRESS")
    if address and address != "local":
        _knock(address)
        ray.init(**options)
        return
    if not address:
        with suppress(ConnectionError):  # there is none
            ray.init("auto", **options)
            return
    ray.init("local", num_cpus=workers, **options)


def _knock(address: str) -> None:
    """Connect to HOST:PORT, where the address is such: Ray itself waits for minutes.

    Raises:
        OSError: nobody answers.
    """
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def _rows(
    ray: Any, folder: Path, job: Job, numbers: list[int], size: int, provider: str
) -> Iterator[dict[str, Any]]:
    tasks = ray.data.from_items(
        [{"number": number} for number in numbers], override_num_blocks=len(numbers)
    )
    # Workers that die, and their tasks, are started again by Ray.
    done = tasks.map_batches(
        ShardActor,
        fn_constructor_args=(folder, job, provider, secrets.token_hex(4)),
        batch_size=None,
        compute=ray.data.ActorPoolStrategy(size=size),
        num_cpus=1,
        num_gpus=1 if provider == "cuda" else None,
    )
    yield from done.iter_rows()


# In an actor's process.


class ShardActor:
    """Draws the shards whose numbers it is given.

    Args:
        folder: the job's.
        job: which the folder holds.
        provider: as of ImageGenerator.
        run: tells this run's notes from those that a killed one left.
    """

    def __init__(self, folder: Path, job: Job, provider: str, run: str) -> None:
        self._folder, self._job, self._run = folder, job, run
        self._worker = Worker(folder, job, provider)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Draw them.

        Args:
            batch: their "number".

        Returns:
            For each its number, how often it was begun, and the error, if any, with its kind.
        """
        rows = [self._draw(int(number)) for number in batch["number"]]
        return {key: [row[key] for row in rows] for key in rows[0]}

    def _draw(self, number: int) -> dict[str, Any]:
        row = {"number": number, "begun": 1, "kind": "", "error": ""}
        try:
            row["begun"] = self._begun(number)
            self._worker.draw(number)
        except CganError as error:  # Ray would wrap it up, with a traceback for each layer
            row |= {"kind": type(error).__name__, "error": str(error)}
        else:
            with suppress(OSError):
                self._notes(number).unlink()
        return row

    def _begun(self, number: int) -> int:
        """Note that a shard is begun, and return how often it was.

        Raises:
            WorkerError: too often.
        """
        begun = 1
        with suppress(OSError), self._notes(number).open("ab") as file:  # the worker says why not
            begun += file.tell()
            file.write(b"x")
        if begun > MOST_BEGUN:
            raise WorkerError(
                f"{MOST_BEGUN} workers died drawing {self._job.shard(number)}; if memory is short, "
                "take fewer --workers, and run it again"
            )
        return begun

    def _notes(self, number: int) -> Path:
        return self._folder / SHARDS / f".{self._run}.{number}"
