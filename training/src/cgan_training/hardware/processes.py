"""Several processes that train as one: `torchrun --nproc-per-node 2 -m cgan_training ...`.

Every process holds all data, the same weights and the same random numbers, and takes its share of
each batch; DistributedDataParallel averages the gradients. So the number of processes changes what
is learnt by nothing but the rounding of sums. A single process initialises nothing.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from cgan_runtime.errors import CganError
from cgan_training.errors import DatasetError, DeviceError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

VOTE_SECONDS = 0.2  # between two votes: far more than one costs, less than a user notices
T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together, as one of them sees them.

    Every method that says "all call it" waits for the others.
    """

    rank: int = 0  # 0 <= rank < size; rank 0 alone writes and speaks
    size: int = 1  # processes on all hosts
    local_rank: int = 0  # on this host; the number of its CUDA device

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "ProcessGroup":
        """Read what torchrun sets; without it, there is one process."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        if not all(name in environment for name in names) or environment["WORLD_SIZE"] == "1":
            return cls()
        return cls(*(int(environment[name]) for name in names))

    @contextmanager
    def joined(self) -> Iterator["ProcessGroup"]:
        """Find the others, and leave them at the end of the block. All call it."""
        if self.size == 1:
            yield self
            return
        from torch import distributed

        cuda = distributed.is_nccl_available()  # CPU tensors go by gloo, with or without CUDA
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
        try:
            yield self
        finally:
            distributed.destroy_process_group()

    def device(self, device: "torch.device") -> "torch.device":
        """Return this process's own device of a kind.

        Raises:
            DeviceError: the host has fewer of them than processes.
        """
        if self.size == 1 or device.type != "cuda":
            return device
        import torch

        if self.local_rank >= torch.cuda.device_count():
            raise DeviceError(
                f"process {self.local_rank} of this host finds {torch.cuda.device_count()} CUDA "
                "device(s), and each takes one; lower --nproc-per-node, or use --device cpu"
            )
        own = torch.device("cuda", self.local_rank)
        torch.cuda.set_device(own)  # NCCL takes the current one
        return own

    def share(self, batch: "Tensor") -> "Tensor":
        """Return this process's part of a batch: every size-th row, from its rank on."""
        return batch[self.rank :: self.size]

    def synced(self, network: "nn.Module") -> "nn.Module":
        """Return the network with its gradients averaged over all. All call it."""
        if self.size == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def mean(self, tensor: "Tensor") -> "Tensor":
        """Return the mean over all. All call it."""
        if self.size == 1:
            return tensor
        from torch import distributed

        total = tensor.clone()
        distributed.all_reduce(total)
        return total / self.size

    def most(self, *mine: float) -> list[float]:
        """Return the greatest of each number over all. All call it."""
        if self.size == 1:
            return list(mine)
        import torch
        from torch import distributed

        greatest = torch.tensor(mine, dtype=torch.float64)
        distributed.all_reduce(greatest, distributed.ReduceOp.MAX)
        return cast(list[float], greatest.tolist())

    def from_rank_zero(self, make: Callable[[], T]) -> T:
        """Return what rank 0 makes, or raise the CganError that it raised. All call it."""
        if self.size == 1:
            return make()
        from torch import distributed

        outcome = [_outcome(make) if self.rank == 0 else None]
        distributed.broadcast_object_list(outcome)
        return _settled(cast("tuple[T, CganError | None]", outcome[0]))

    def on_rank_zero(self, act: Callable[[], object]) -> None:
        """Let rank 0 act; raise the CganError that it raised. All call it."""
        self.from_rank_zero(lambda: (act(), None)[1])

    def together(self, make: Callable[[], T]) -> T:
        """Let each make its own; raise the CganError of any. All call it."""
        if self.size == 1:
            return make()
        made, error = _outcome(make)
        errors = [each for each in self._gathered(error) if each is not None]
        return _settled((made, errors[0] if errors else None))

    def rank_zero_first(self, make: Callable[[], T]) -> T:
        """Let rank 0 make it first, then the first process of each host, then the others.

        So that a data set is downloaded once, whether or not the hosts share a disk. All call it;
        the CganError of any is raised by all.
        """
        if self.size == 1:
            return make()
        own_turn = 0 if self.rank == 0 else 1 if self.local_rank == 0 else 2
        made: T | None = None
        for turn in range(3):
            if turn == own_turn:
                made = self.together(make)
            else:
                self.together(lambda: None)
        return cast(T, made)

    def require_same(self, identity: object) -> None:
        """Refuse to go on where the processes are about to learn different things.

        Raises:
            DatasetError: it differs between them.
        """
        if self.size > 1 and any(each != identity for each in self._gathered(identity)):
            raise DatasetError(
                "the processes found different data; give each host the same --dataset and files"
            )

    def _gathered(self, mine: T) -> list[T]:
        from torch import distributed

        gathered: list[Any] = [None] * self.size
        distributed.all_gather_object(gathered, mine)
        return gathered


def leave(code: int) -> NoReturn:
    """End this process at once, everything being written and the group left.

    Python's own way out sometimes aborts here: gloo's threads, still held by the networks, are
    destroyed while they run ("terminate called without an active exception").
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


SINGLE_PROCESS = ProcessGroup()


class StopVote:
    """Decides with the others, every VOTE_SECONDS or so, whether something has come to pass.

    Clocks differ, steps do not: so each vote also settles how many calls later the next one is.

    Args:
        world: who votes.
    """

    def __init__(self, world: ProcessGroup) -> None:
        self._world = world
        self._calls, self._wanted, self._last = 0, 1, time.perf_counter()

    def __call__(self, *mine: float) -> list[float]:
        """Return the greatest of each number over all; zeros where it is not time for a vote.

        All call it equally often. A single process gets its own numbers, always.
        """
        if self._world.size == 1:
            return list(mine)
        self._calls += 1
        if self._calls < self._wanted:
            return [0.0] * len(mine)
        now = time.perf_counter()
        *greatest, seconds = self._world.most(*mine, (now - self._last) / self._calls)
        self._calls, self._last = 0, now
        self._wanted = max(1, int(VOTE_SECONDS / seconds))
        return greatest


def _outcome(make: Callable[[], T]) -> tuple[T | None, CganError | None]:
    try:
        return make(), None
    except CganError as error:
        return None, error


def _settled(outcome: tuple[T | None, CganError | None]) -> T:
    value, error = outcome
    if error is not None:
        raise error
    return cast(T, value)
