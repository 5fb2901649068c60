"""The engine for several machines: Ray Data, with an actor a worker.

Only the shards' numbers travel through Ray. Each worker draws into the job's folder itself, which
all machines share, so nothing large is moved or kept in memory.
"""

import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from cgan_runtime.bulk.job import SHARDS, Job
from cgan_runtime.bulk.shards import KILLED, Worker
from cgan_runtime.errors import CganRuntimeError, InputError, InstallError, WorkerError

MOST_BEGUN = 3  # times that a shard is begun: Ray itself would do it for ever
PATIENCE = 10  # seconds that a cluster may take to answer
AT_ONCE = 1000  # shards that Ray is told of together: what it keeps of them stays small


def import_ray() -> Any:
    """Return ray, with its usage statistics off.

    Raises:
        InstallError: it is not installed, or without Ray Data.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InstallError(
            f"--engine ray needs Ray; pip install 'cgan-runtime[ray]' ({error})"
        ) from error
    return ray


@contextmanager
def quiet() -> Iterator[TextIO]:
    """Keep what Ray's threads and C++ write from stdout and stderr; yield the true stderr."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    saved = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with os.fdopen(os.dup(2), "w", buffering=1) as stderr:
        try:
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            yield stderr
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            for each in (*saved, nowhere):
                os.close(each)


def drawn(
    folder: Path,
    job: Job,
    numbers: Iterable[int],
    workers: int | None,
    provider: str,
    note: Callable[[str], None],
) -> Generator[int, None, None]:
    """Draw shards, and yield the number of each that is whole.

    Args:
        folder: the job's, which all machines share.
        job: which the folder holds.
        numbers: of the shards.
        workers: actors, each of one CPU; None takes as many as the cluster has CPUs.
        provider: as of DigitGenerator; "cuda" gives each worker a GPU.
        note: told when a worker died.

    Raises:
        WorkerError: Ray cannot be reached or started, or workers die again and again.
        InputError: the cluster has fewer CPUs than workers.
        CganRuntimeError: what a worker raised.
    """
    ray = import_ray()
    more = iter(numbers)
    some = list(islice(more, AT_ONCE))
    if not some:
        return
    try:
        with _cluster(ray, workers) as cpus:
            if workers is not None and workers > cpus:
                raise InputError(
                    f"Ray has {cpus} CPUs here, too few for {workers} workers; take fewer"
                )
            while some:
                tasks = ray.data.from_items(
                    [{"number": number} for number in some], override_num_blocks=len(some)
                )
                # Ray starts workers that died, and their tasks, again.
                done = tasks.map_batches(
                    ShardDrawer,
                    fn_constructor_args=(folder.resolve(), job, provider, secrets.token_hex(4)),
                    batch_size=None,
                    compute=ray.data.ActorPoolStrategy(size=min(workers or cpus, len(some))),
                    num_cpus=1,
                    num_gpus=1 if provider == "cuda" else None,
                )
                for row in done.iter_rows():
                    if row["error"]:
                        raise _error(row["kind"], row["error"])
                    if row["begun"] > 1:
                        note(KILLED)
                    yield int(row["number"])
                some = list(islice(more, AT_ONCE))
    except (ray.exceptions.RayError, ray.data.exceptions.SystemException) as error:
        raise WorkerError(
            f"Ray gave up: {_last_line(error)}; look at its logs below "
            f"{tempfile.gettempdir()}/ray/session_latest/logs, or see all with --debug"
        ) from error


@contextmanager
def _cluster(ray: Any, workers: int | None) -> Iterator[int]:
    """Connect to Ray where it runs, or start it on this machine; yield its number of CPUs.

    RAY_ADDRESS names a cluster, as everywhere in Ray; otherwise it is the one of this machine.
    """
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        _connect(ray, workers)
    except (OSError, ValueError, RuntimeError) as error:
        raise WorkerError(
            f"Ray cannot be reached or started: {_last_line(error)}; look at RAY_ADDRESS and at "
            "`ray status`"
        ) from error
    except SystemExit:  # its own answer to SIGTERM
        signal.signal(signal.SIGTERM, terminate)
        signal.raise_signal(signal.SIGTERM)
        raise
    try:
        signal.signal(signal.SIGTERM, terminate)  # ray.init() takes it
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        yield int(ray.cluster_resources().get("CPU", 0))
    finally:
        ray.shutdown()


def _connect(ray: Any, workers: int | None) -> None:
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


class ShardDrawer:
    """Draws the shards whose numbers it is given, in an actor's process.

    Args:
        folder: the job's.
        job: which the folder holds.
        provider: as of DigitGenerator.
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
        except CganRuntimeError as error:  # Ray would wrap it up, with a traceback for each layer
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


def _error(kind: str, text: str) -> CganRuntimeError:
    from cgan_runtime import errors

    found: CganRuntimeError = getattr(errors, kind)(text)
    return found


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
