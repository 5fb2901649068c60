"""Training in several processes: `torchrun --nproc-per-node 2 -m cgan_training ...`.

Every process holds the whole dataset, the same weights and the same random numbers. It takes its
share of each batch, and DistributedDataParallel averages the gradients. Batch norm,
minibatch_stddev and augmentation see only the share, so with them the result depends on the number
of processes. Otherwise it differs by rounding only. One process does not use torch.distributed.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from cgan_runtime.errors import CganError
from cgan_training.errors import DatasetError, LaunchError, one_line
from cgan_training.hardware.rendezvous import connect, interruptible

if TYPE_CHECKING:
    from torch import Tensor, nn

VARIABLES = ("WORLD_SIZE", "RANK", "LOCAL_RANK")  # environment variables that torchrun sets
MAX_PROCESSES = 2**16
# Time between two exchanges of PeriodicMaximum. An exchange takes far less, and users do not notice
# the delay.
SYNC_SECONDS = 0.2
T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes that train together, and the place of this process among them.

    A method marked "collective" waits for the other processes, so all of them must call it.
    """

    rank: int = 0  # 0 <= rank < size; only rank 0 writes files and reports
    size: int = 1  # number of processes on all hosts
    local_rank: int = 0  # rank on this host, which is also the number of its CUDA device

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Processes":
        """Read the variables that torchrun sets. If none of VARIABLES is set, there is one process.

        Raises:
            LaunchError: only some of the variables are set, or a value is invalid.
        """
        given = [name for name in VARIABLES if name in environment]
        if not given:
            return cls()
        size = _number(environment, "WORLD_SIZE", range(1, MAX_PROCESSES + 1), given)
        if size == 1:
            environment = {"RANK": "0", "LOCAL_RANK": "0", **environment}
        rank, local_rank = (
            _number(environment, name, range(size), given) for name in ("RANK", "LOCAL_RANK")
        )
        if size > 1:
            _required(environment, "MASTER_ADDR", given)
            _number(environment, "MASTER_PORT", range(1, 2**16), given)
        return cls(rank, size, local_rank)

    @contextmanager
    def joined(self) -> Iterator["Processes"]:
        """Connect to the other processes for the length of the block (collective).

        A signal interrupts the wait for the other processes; see rendezvous.py.

        Raises:
            LaunchError: the processes do not connect in time, the port is in use, or
                another process ends within the block.
        """
        if self.size == 1:
            yield self
            return
        from torch import distributed

        connect(self.rank, self.size)
        try:
            yield self
        except RuntimeError as error:
            if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
                raise
            raise LaunchError(
                f"the connection to another process broke ({one_line(error)}); read the messages of"
                " the other processes, and continue the run with --resume"
            ) from error
        except Exception:
            distributed.destroy_process_group()
            raise
        else:  # After a signal the group is kept, because another thread may still use it.
            distributed.destroy_process_group()

    def shard(self, batch: "Tensor") -> "Tensor":
        """Return this process's share of a batch: every size-th row, starting at its rank."""
        return batch[self.rank :: self.size]

    def with_synced_gradients(self, network: "nn.Module") -> "nn.Module":
        """Return the network with gradients averaged over all processes (collective)."""
        if self.size == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def mean(self, tensor: "Tensor") -> "Tensor":
        """Return the mean over all processes (collective)."""
        if self.size == 1:
            return tensor
        from torch import distributed

        total = tensor.clone()
        distributed.all_reduce(total)
        return total / self.size

    def maximum(self, *values: float) -> list[float]:
        """Return the maximum of each value over all processes (collective)."""
        if self.size == 1:
            return list(values)
        import torch
        from torch import distributed

        maxima = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(maxima, distributed.ReduceOp.MAX)
        return cast(list[float], maxima.tolist())

    def on_rank_zero(self, function: Callable[[], T]) -> T:
        """Call a function on rank 0; return its value or raise its CganError here (collective)."""
        if self.size == 1:
            return function()
        from torch import distributed

        outcome = [_outcome(function) if self.rank == 0 else (None, None)]
        interruptible(lambda: distributed.broadcast_object_list(outcome))
        return _value_or_raise(*outcome[0])

    def on_all(self, function: Callable[[], T]) -> T:
        """Call a function in every process. A CganError of one is raised in all (collective)."""
        if self.size == 1:
            return function()
        value, own_error = _outcome(function)
        errors = [error for error in self._gather(own_error) if error is not None]
        return _value_or_raise(value, errors[0] if errors else None)

    def rank_zero_first(self, function: Callable[[], T]) -> T:
        """Call a function as on_all() does, but in three turns (collective).

        The turns are rank 0, one process of each other host, and all other processes. A dataset is
        then downloaded once per disk.
        """
        own_turn = 0 if self.rank == 0 else 1 if self.local_rank == 0 else 2
        turns = [self.on_all(function if turn == own_turn else lambda: None) for turn in range(3)]
        return cast(T, turns[own_turn])

    def require_same(self, identity: object) -> None:
        """Raise DatasetError unless all processes have the same recipe and dataset (collective)."""
        if self.size > 1 and any(other != identity for other in self._gather(identity)):
            raise DatasetError(
                "the processes have different recipes or datasets; give each the same options and "
                "files"
            )

    def _gather(self, value: T) -> list[T]:
        """Return the values of all processes (collective)."""
        from torch import distributed

        gathered: list[Any] = [None] * self.size
        interruptible(lambda: distributed.all_gather_object(gathered, value))
        return gathered


def _number(environment: Mapping[str, str], name: str, valid: range, given: Sequence[str]) -> int:
    """Return a variable of the environment as a number in a range, or raise LaunchError."""
    text = _required(environment, name, given)
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII) or int(text) not in valid:
        raise LaunchError(
            f"the environment variable {name} must be a number from {valid[0]} to {valid[-1]}, got "
            f"{text!r:.40}; correct it, or start the processes with torchrun"
        )
    return int(text)


def _required(environment: Mapping[str, str], name: str, given: Sequence[str]) -> str:
    """Return a variable of the environment, or raise LaunchError if it is not set or empty."""
    if not environment.get(name):
        others = " and ".join(variable for variable in given if variable != name)
        raise LaunchError(
            f"the environment variable {name} is {'empty' if name in environment else 'not set'}"
            f"{f', but {others} is set' if others else ''}; start the processes with torchrun, or "
            "unset these variables to train in one process"
        )
    return environment[name]


def exit_process(code: int) -> NoReturn:
    """End this process at once. Files must be written and the process group destroyed before.

    Python's normal exit sometimes aborts with "terminate called without an active exception",
    because gloo's threads are destroyed while they run.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # the stream is closed, or None
            stream.flush()
    os._exit(code)


SINGLE_PROCESS = Processes()


class PeriodicMaximum:
    """Compute maxima over all processes, but only about every SYNC_SECONDS, to save time.

    The clocks of the processes differ, so they cannot agree on a time for the next exchange. They
    make equally many calls, so each exchange sets the number of calls until the next one.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._calls, self._calls_until_next, self._last = 0, 1, time.perf_counter()

    def __call__(self, *values: float) -> list[float]:
        """Return the maximum of each value over all processes, or zeros in a call without exchange.

        All processes must call this equally often. A single process gets its own values.
        """
        if self._processes.size == 1:
            return list(values)
        self._calls += 1
        if self._calls < self._calls_until_next:
            return [0.0] * len(values)
        now = time.perf_counter()
        seconds_per_call = (now - self._last) / self._calls
        *maxima, seconds_per_call = self._processes.maximum(*values, seconds_per_call)
        self._calls, self._last = 0, now
        self._calls_until_next = max(1, int(SYNC_SECONDS / seconds_per_call))
        return maxima


def _outcome(function: Callable[[], T]) -> tuple[T | None, CganError | None]:
    """Call a function; return its value and its CganError."""
    try:
        return function(), None
    except CganError as error:
        return None, error


def _value_or_raise(value: T | None, error: CganError | None) -> T:
    if error is not None:
        raise error
    return cast(T, value)
