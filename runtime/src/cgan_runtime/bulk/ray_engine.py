"""The engine "ray": Ray actors on one or more machines, one per worker.

Ray transfers only shard numbers. Each worker writes to the job's folder, which all machines share,
so Ray does not move or store any images.

Ray runs in a separate driver process, because it installs signal handlers, writes to stdout, and
ends the process without an error message when its services on this machine die.
"""

import os
import secrets
import socket
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cgan_runtime.bulk.job import Job
from cgan_runtime.bulk.local_engine import SPAWN, prepare_signals, start_process
from cgan_runtime.bulk.shards import MAX_ATTEMPTS, Worker
from cgan_runtime.errors import (
    CganError,
    InputError,
    InstallError,
    WorkerError,
    raised_by_user_code,
)
from cgan_runtime.providers import CUDA, parse_provider

LOCAL = "local"  # the value of RAY_ADDRESS that starts a cluster on this machine
TIMEOUT = 10  # seconds that a cluster has to answer, or that Ray has to end
CHUNK_SHARDS = 1000  # number of shards that are passed to the driver at once
LOGS = f"{tempfile.gettempdir()}/ray/session_latest/logs"


def check_installed() -> None:
    """Raise InstallError unless Ray is installed. Ray is not imported, which would take seconds."""
    if find_spec("ray") is None:
        raise InstallError("--engine ray needs Ray; pip install 'cgan-runtime[ray]'")


def generate_shards(
    folder: Path,
    job: Job,
    numbers: Iterable[int],
    workers: int | None,
    provider: str,
    on_kill: Callable[[], None],
    *,
    debug: bool = False,
) -> Generator[int, None, None]:
    """Generate shards, and yield the number of each complete shard.

    Arguments and errors are those of local_engine.generate_shards, with these differences: workers
    is the number of actors, with one CPU each, and None uses all CPUs of the cluster. The provider
    "cuda" reserves a GPU for each worker. With debug, Ray's output is shown.

    Raises:
        InputError: the cluster has fewer CPUs than workers.
    """
    remaining = iter(numbers)
    chunk = list(islice(remaining, CHUNK_SHARDS))
    if not chunk:
        return
    connection, driver_connection = SPAWN.Pipe()
    arguments = (driver_connection, folder.resolve(), job, workers, provider, debug)
    driver = SPAWN.Process(target=_run_driver, args=arguments)
    try:
        start_process(driver)
        driver_connection.close()
        while chunk:
            with _raise_if_driver_ended():
                connection.send(chunk)
            for _ in chunk:
                yield _receive_number(connection, on_kill)
            chunk = list(islice(remaining, CHUNK_SHARDS))
    except BaseException:
        if driver.pid:
            driver.terminate()
        raise
    finally:
        connection.close()  # the driver ends when the connection closes
        if driver.pid:
            driver.join(TIMEOUT)
            driver.kill()


@contextmanager
def _raise_if_driver_ended() -> Iterator[None]:
    """Raise WorkerError if the driver has closed the connection."""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        if raised_by_user_code(error):
            raise
        raise WorkerError(
            f"Ray died unexpectedly; look at its logs in {LOGS}, then run the command again"
        ) from error


def _receive_number(connection: Connection, on_kill: Callable[[], None]) -> int:
    """Return the number of the next complete shard, or raise the error that ended the run."""
    while True:
        with _raise_if_driver_ended():
            message = connection.recv()
        if isinstance(message, CganError):
            raise message
        if message is not None:
            return int(message)
        on_kill()


# The functions below run in the driver process.


def _run_driver(
    connection: Connection, folder: Path, job: Job, workers: int | None, provider: str, debug: bool
) -> None:
    """Receive lists of shard numbers, and generate these shards, until the connection closes.

    Send the number of each complete shard, None for each killed worker, or the error.
    """
    prepare_signals()
    if not debug:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
    try:
        with _cluster(workers) as (ray, cpus):
            while True:
                numbers = connection.recv()
                actors = min(workers or cpus, len(numbers))
                for message in _generate_chunk(ray, folder, job, numbers, actors, provider):
                    connection.send(message)
    except (EOFError, BrokenPipeError):
        return
    except CganError as error:
        connection.send(error)
    except Exception as error:  # Ray's exceptions have no other common base class
        text = f"Ray failed: {_reason(error)}; look at its logs in {LOGS}, or use --debug"
        connection.send(WorkerError(text))
        if debug:
            raise


@contextmanager
def _cluster(workers: int | None) -> Iterator[tuple[Any, int]]:
    """Connect to the cluster at RAY_ADDRESS, or start one on this machine.

    Yield the module ray and the number of CPUs.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # do not send statistics
    address = os.environ.get("RAY_ADDRESS") or LOCAL
    if address == LOCAL:
        # Other users and machines must not reach the new cluster. Ray reads these variables when it
        # is imported. The third makes Ray's servers listen on the loopback interface only.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray: Any = import_module("ray")
    try:
        _connect(ray, address, workers)
    except (OSError, ValueError, RuntimeError) as error:
        remedy = "check RAY_ADDRESS and `ray status`"
        if address == LOCAL:
            remedy = f"look at its logs in {LOGS}, or use --debug"
        raise WorkerError(f"cannot reach or start Ray: {_reason(error)}; {remedy}") from error
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if (required := workers or 1) > cpus:
            raise InputError(
                f"the Ray cluster has {cpus} CPUs, but --workers is {required}; use fewer"
            )
        yield ray, cpus
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str, workers: int | None) -> None:
    """Connect to the cluster at an address, or start one on this machine."""
    options = {"log_to_driver": False, "logging_level": "CRITICAL", "include_dashboard": False}
    if address == LOCAL:
        ray.init(LOCAL, num_cpus=workers, **options)
        return
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address and port.isdecimal():
        # Test HOST:PORT first: if nothing answers, Ray waits for minutes.
        socket.create_connection((host, int(port)), timeout=TIMEOUT).close()
    ray.init(address, **options)


def _reason(error: Exception) -> str:
    """Return the last line of an exception's message, or the name of its type if it is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def _generate_chunk(
    ray: Any, folder: Path, job: Job, numbers: list[int], actors: int, provider: str
) -> Iterator[int | None]:
    """Yield the number of each complete shard, and None for each worker that was killed."""
    actor_class = ray.remote(num_cpus=1, num_gpus=int(parse_provider(provider)[0] == CUDA))(Worker)
    queue, kills = deque(numbers), Counter[int]()
    pending: dict[Any, tuple[int, Any]] = {}  # task -> number of its shard, its actor
    idle = [actor_class.remote(folder, job, provider) for _ in range(actors)]
    while queue or pending:
        while queue and idle:
            number, actor = queue.popleft(), idle.pop()
            pending[actor.generate.remote(number)] = number, actor
        # If actors are still idle, the queue is empty. Ray ends an actor when its last reference is
        # gone. This frees the CPU of an idle actor, to replace a killed worker.
        del actor
        idle.clear()
        (task,), _ = ray.wait([*pending])
        number, actor = pending.pop(task)
        try:
            ray.get(task)
        except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
            if getattr(error, "actor_init_failed", False):
                raise
            kills[number] += 1
            if kills[number] == MAX_ATTEMPTS:
                raise WorkerError(
                    f"{MAX_ATTEMPTS} workers died generating {job.shard(number)}; if memory is "
                    f"short, use fewer --workers, otherwise look at Ray's logs in {LOGS}"
                ) from error
            queue.appendleft(number)
            idle.append(actor_class.remote(folder, job, provider))
            yield None
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        else:
            idle.append(actor)
            yield number
