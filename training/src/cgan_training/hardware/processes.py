"""Training in several processes: `torchrun --nproc-per-node 2 -m cgan_training ...`.

Every process holds the whole dataset, the same weights and the same random numbers, and takes its
share of each batch; DistributedDataParallel averages the gradients. So the number of processes
changes the result only by the rounding of sums. A single process does not use torch.distributed.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from cgan_runtime.errors import CganError
from cgan_training.errors import DatasetError

if TYPE_CHECKING:
    from torch import Tensor, nn

# Time between two exchanges of PeriodicMaximum: far longer than an exchange takes, and too short
# for users to notice.
SYNC_SECONDS = 0.2
T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together, as one of them sees them.

    Methods marked "collective" wait for the other processes: all of them must call the method.
    """

    rank: int = 0  # 0 <= rank < size; only rank 0 writes files and reports
    size: int = 1  # number of processes on all hosts
    local_rank: int = 0  # rank on this host, which is also the number of its CUDA device

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "ProcessGroup":
        """Read the variables that torchrun sets; without them there is one process."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        if not all(name in environment for name in names) or environment["WORLD_SIZE"] == "1":
            return cls()
        return cls(*(int(environment[name]) for name in names))

    @contextmanager
    def joined(self) -> Iterator["ProcessGroup"]:
        """Connect to the other processes for the length of the block (collective)."""
        if self.size == 1:
            yield self
            return
        from torch import distributed

        has_nccl = distributed.is_nccl_available()  # CPU tensors use gloo in any case
        distributed.init_process_group("cpu:gloo,cuda:nccl" if has_nccl else "gloo")
        try:
            yield self
        finally:
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

    def on_rank_zero(self, make: Callable[[], T]) -> T:
        """Return what rank 0's call returns, or raise the CganError that it raised (collective)."""
        if self.size == 1:
            return make()
        from torch import distributed

        outcome = [_outcome(make) if self.rank == 0 else (None, None)]
        distributed.broadcast_object_list(outcome)
        return _value_or_raise(*outcome[0])

    def on_all(self, make: Callable[[], T]) -> T:
        """Return what this process's call returns, or raise the CganError of any (collective)."""
        if self.size == 1:
            return make()
        value, error = _outcome(make)
        errors = [each for each in self._gather(error) if each is not None]
        return _value_or_raise(value, errors[0] if errors else None)

    def rank_zero_first(self, make: Callable[[], T]) -> T:
        """Do as on_all(), but let rank 0 go first, then one process of each host (collective).

        A dataset is then downloaded once, whether or not the hosts share a disk.
        """
        own_turn = 0 if self.rank == 0 else 1 if self.local_rank == 0 else 2
        turns = [self.on_all(make if turn == own_turn else lambda: None) for turn in range(3)]
        return cast(T, turns[own_turn])

    def require_same(self, identity: object) -> None:
        """Raise DatasetError unless all processes have the same recipe and data (collective)."""
        if self.size > 1 and any(each != identity for each in self._gather(identity)):
            raise DatasetError(
                "the processes have different recipes or data; give each the same options and files"
            )

    def _gather(self, value: T) -> list[T]:
        from torch import distributed

        gathered: list[Any] = [None] * self.size
        distributed.all_gather_object(gathered, value)
        return gathered


def exit_process(code: int) -> NoReturn:
    """End this process at once, after all files are written and the process group is destroyed.

    Python's normal exit sometimes aborts with "terminate called without an active exception",
    because gloo's threads are destroyed while they run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


SINGLE_PROCESS = ProcessGroup()


class PeriodicMaximum:
    """Compute maxima over all processes, but only about every SYNC_SECONDS, to save time.

    The clocks of the processes differ, so they cannot agree on a time for the next exchange, but
    all make the same calls. Each exchange therefore sets the number of calls until the next one.
    """

    def __init__(self, processes: ProcessGroup) -> None:
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


def _outcome(make: Callable[[], T]) -> tuple[T | None, CganError | None]:
    try:
        return make(), None
    except CganError as error:
        return None, error


def _value_or_raise(value: T | None, error: CganError | None) -> T:
    if error is not None:
        raise error
    return cast(T, value)
