"""The engine "ray": Ray Data on one or more machines, with one actor per worker.

Only shard numbers travel through Ray. Each worker writes to the job's folder, which all machines
share, so Ray does not move or store any images.

Ray runs in a separate driver process, because it installs signal handlers, writes to stdout, and
ends its process without an error message when Ray dies on this machine.
"""

import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cgan_runtime import errors
from cgan_runtime.bulk.job import SHARDS, Job
from cgan_runtime.bulk.local_engine import SPAWN, sigint_blocked
from cgan_runtime.bulk.shards import WORKER_KILLED, Worker
from cgan_runtime.errors import CganError, InputError, InstallError, WorkerError

MAX_ATTEMPTS = 3  # per shard; Ray itself would retry without limit
TIMEOUT = 10  # seconds for a cluster to answer, or for Ray to end
CHUNK_SHARDS = 1000  # shards that are passed to Ray at once, which bounds its bookkeeping
NOT_INSTALLED = "--engine ray needs Ray; pip install 'cgan-runtime[ray]'"
LOGS = f"{tempfile.gettempdir()}/ray/session_latest/logs"


def check_installed() -> None:
    """Raise InstallError unless Ray is installed; importing it would take seconds."""
    if find_spec("ray") is None:
        raise InstallError(NOT_INSTALLED)


def generate_shards(
    folder: Path,
    job: Job,
    numbers: Iterable[int],
    workers: int | None,
    provider: str,
    warn: Callable[[str], None],
    *,
    debug: bool = False,
) -> Generator[int, None, None]:
    """Generate shards, and yield the number of each complete shard.

    The arguments are those of local_engine.generate_shards. But workers is the number of actors,
    with one CPU each, and None uses all CPUs of the cluster. The provider "cuda" reserves a GPU for
    each worker. With debug, Ray's own output is shown.

    Raises:
        WorkerError: Ray cannot be reached or started, or workers die repeatedly.
        InputError: the cluster has fewer CPUs than workers.
        CganError: as raised by a worker.
    """
    remaining = iter(numbers)
    chunk = list(islice(remaining, CHUNK_SHARDS))
    if not chunk:
        return
    connection, driver_connection = SPAWN.Pipe()
    arguments = (driver_connection, folder.resolve(), job, workers, provider, debug)
    driver = SPAWN.Process(target=_run_driver, args=arguments)
    with sigint_blocked():
        driver.start()
    driver_connection.close()
    try:
        while chunk:
            connection.send(chunk)
            for _ in chunk:
                yield _check_result(connection.recv(), warn)
            chunk = list(islice(remaining, CHUNK_SHARDS))
    except (EOFError, OSError) as error:
        raise WorkerError(
            f"Ray died unexpectedly; look at its logs in {LOGS}, then run the command again"
        ) from error
    except BaseException:
        driver.terminate()
        raise
    finally:
        connection.close()  # the driver ends when the connection closes
        driver.join(TIMEOUT)
        driver.kill()


def _check_result(result: dict[str, Any], warn: Callable[[str], None]) -> int:
    """Return the number of a complete shard, or raise the error of its worker."""
    if result["error"]:
        error: CganError = getattr(errors, result["kind"])(result["error"])
        raise error
    if result["attempts"] > 1:
        warn(WORKER_KILLED)
    return int(result["number"])


# The functions below run in the driver process.


def _run_driver(
    connection: Connection, folder: Path, job: Job, workers: int | None, provider: str, debug: bool
) -> None:
    """Receive lists of shard numbers, and send a result for each, until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not debug:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
    try:
        with _cluster(workers) as (ray, cpus):
            while True:
                numbers = connection.recv()
                actors = min(workers or cpus, len(numbers))
                for result in _generate_chunk(ray, folder, job, numbers, actors, provider):
                    connection.send(result)
    except (EOFError, BrokenPipeError):
        return
    except CganError as error:
        connection.send({"kind": type(error).__name__, "error": str(error)})
    except Exception as error:  # Ray's exceptions have no other common base class
        lines = str(error).strip().splitlines() or [type(error).__name__]
        text = f"Ray failed: {lines[-1].strip()}; look at its logs in {LOGS}, or use --debug"
        connection.send({"kind": WorkerError.__name__, "error": text})
        if debug:
            raise


@contextmanager
def _cluster(workers: int | None) -> Iterator[tuple[Any, int]]:
    """Connect to a Ray cluster, or start one; yield the module ray and the number of CPUs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # do not send statistics
    try:
        ray: Any = import_module("ray")
        import_module("ray.data")
    except ImportError as error:
        raise InstallError(f"{NOT_INSTALLED} ({error})") from error
    try:
        _connect(ray, workers)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise WorkerError(
            f"cannot reach or start Ray: {reason}; check RAY_ADDRESS and `ray status`"
        ) from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if workers is not None and workers > cpus:
            raise InputError(f"the Ray cluster has {cpus} CPUs for {workers} --workers; use fewer")
        yield ray, cpus
    finally:
        ray.shutdown()


def _connect(ray: Any, workers: int | None) -> None:
    """Connect to the cluster at RAY_ADDRESS, or to this machine's cluster, or start one here."""
    options = {"log_to_driver": False, "logging_level": "CRITICAL", "include_dashboard": False}
    address = os.environ.get("RAY_ADDRESS")
    if address and address != "local":
        host, colon, port = address.rpartition(":")
        if colon and "/" not in address and port.isdecimal():
            # Connect to HOST:PORT first: without an answer, Ray itself would wait for minutes.
            socket.create_connection((host, int(port)), timeout=TIMEOUT).close()
        ray.init(**options)
        return
    if not address:
        with suppress(ConnectionError):  # no cluster is running
            ray.init("auto", **options)
            return
    ray.init("local", num_cpus=workers, **options)


def _generate_chunk(
    ray: Any, folder: Path, job: Job, numbers: list[int], actors: int, provider: str
) -> Iterator[dict[str, Any]]:
    """Yield a result for each shard. Ray restarts workers that die, and their tasks."""
    tasks = ray.data.from_items(
        [{"number": number} for number in numbers], override_num_blocks=len(numbers)
    )
    results = tasks.map_batches(
        ShardActor,
        fn_constructor_args=(folder, job, provider, secrets.token_hex(4)),
        batch_size=None,
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=1,
        num_gpus=1 if provider == "cuda" else None,
    )
    yield from results.iter_rows()


# The class below runs in the actors' processes.


class ShardActor:
    """Generates shards in a Ray actor.

    Args:
        folder: folder of the job.
        job: the job that the folder holds.
        provider: as for ImageGenerator.
        run_id: distinguishes the attempt counters of this run from those of a killed run.
    """

    def __init__(self, folder: Path, job: Job, provider: str, run_id: str) -> None:
        self._folder, self._job, self._run_id = folder, job, run_id
        self._worker = Worker(folder, job, provider)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Generate the shards in the column "number"; return a row of results for each shard.

        The columns are number, attempts, and kind and error, which are empty without an error.
        """
        results = [self._generate(int(number)) for number in batch["number"]]
        return {key: [result[key] for result in results] for key in results[0]}

    def _generate(self, number: int) -> dict[str, Any]:
        result = {"number": number, "attempts": 1, "kind": "", "error": ""}
        try:
            result["attempts"] = self._count_attempt(number)
            self._worker.generate(number)
        except CganError as error:  # Ray would add a traceback for each of its layers
            result |= {"kind": type(error).__name__, "error": str(error)}
        else:
            with suppress(OSError):
                self._counter(number).unlink()
        return result

    def _count_attempt(self, number: int) -> int:
        """Return the number of this attempt; a file counts them, which survives killed workers."""
        attempts = 1
        # If the folder cannot be written, the worker reports the reason.
        with suppress(OSError), self._counter(number).open("ab") as file:
            attempts += file.tell()
            file.write(b"x")
        if attempts > MAX_ATTEMPTS:
            raise WorkerError(
                f"{MAX_ATTEMPTS} workers died generating {self._job.shard(number)}; if memory is "
                "short, use fewer --workers, then run the command again"
            )
        return attempts

    def _counter(self, number: int) -> Path:
        return self._folder / SHARDS / f".{self._run_id}.{number}"
