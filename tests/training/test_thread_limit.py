"""Training where the system lets a process start few threads, as in a container."""

import pytest
import torch

from cgan_training.cli import common
from cgan_training.cli.common import LIBRARY_THREADS, limit_threads


@pytest.mark.parametrize(
    ("startable", "threads"), [(1, 1), (1 + LIBRARY_THREADS, 1), (2 + LIBRARY_THREADS, 2)]
)
def test_torch_gets_no_more_threads_than_can_start(
    monkeypatch: pytest.MonkeyPatch, startable: int, threads: int
) -> None:
    def startable_threads(wanted: int) -> int:
        assert wanted == 4 + LIBRARY_THREADS
        return startable

    monkeypatch.setattr(common, "startable_threads", startable_threads)
    before = torch.get_num_threads()
    try:
        limit_threads(4)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
