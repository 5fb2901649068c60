"""Connect the processes that train together, without blocking signals."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from cgan_training.errors import LaunchError, one_line

CONNECT_SECONDS = 600  # time limit within which all processes must have been started
NOTICE_SECONDS = 2.0  # a longer wait is logged
REMEDY = "start all of them with torchrun, or with one MASTER_ADDR and one free MASTER_PORT for all"
_logger = logging.getLogger(__name__)


def connect(rank: int, size: int) -> None:
    """Initialize torch.distributed from the environment variables MASTER_ADDR and MASTER_PORT.

    A message is logged if this takes more than NOTICE_SECONDS.

    Raises:
        LaunchError: the processes do not connect within CONNECT_SECONDS, or the port is in use.
    """

    def log_waiting() -> None:
        _logger.info(
            "rank %d waits for all %d processes at %s:%s, for up to %d seconds",
            rank,
            size,
            os.environ.get("MASTER_ADDR"),
            os.environ.get("MASTER_PORT"),
            CONNECT_SECONDS,
        )

    try:
        interruptible(lambda: _initialize(rank, size), CONNECT_SECONDS, log_waiting)
    except TimeoutError:
        raise LaunchError(
            f"the {size} processes did not connect within {CONNECT_SECONDS} seconds; {REMEDY}"
        ) from None
    except RuntimeError as error:
        raise LaunchError(
            f"cannot connect to the other processes ({one_line(error)}); {REMEDY}"
        ) from error


def _initialize(rank: int, size: int) -> None:
    from torch import distributed
    from torch.distributed.constants import default_pg_timeout
    from torch.distributed.rendezvous import rendezvous

    # Longer than CONNECT_SECONDS, so that our error is raised before gloo prints a stack trace.
    timeout = timedelta(seconds=CONNECT_SECONDS + 60)
    store, _, _ = next(rendezvous("env://", rank, size, timeout=timeout))
    has_nccl = distributed.is_nccl_available()  # CPU tensors use gloo in any case
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if has_nccl else "gloo",
        store=distributed.PrefixStore("cgan", store),  # type: ignore[attr-defined]
        rank=rank,
        world_size=size,
    )
    store.set_timeout(default_pg_timeout)


def interruptible(
    call: Callable[[], object],
    seconds: float = math.inf,
    notice: Callable[[], None] = lambda: None,
) -> None:
    """Run a blocking native call in a thread, so that signals are handled while it waits.

    Args:
        call: the blocking function. Its exception is raised here.
        seconds: maximum time to wait.
        notice: function that is called once, after NOTICE_SECONDS.

    Raises:
        TimeoutError: the call takes more than `seconds`.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised in the calling thread
            errors.append(error)

    thread, start = threading.Thread(target=run, daemon=True), time.monotonic()
    thread.start()
    thread.join(NOTICE_SECONDS)
    if thread.is_alive():
        notice()
    while thread.is_alive():
        if time.monotonic() - start > seconds:
            raise TimeoutError
        thread.join(NOTICE_SECONDS)
    if errors:
        raise errors[0]
