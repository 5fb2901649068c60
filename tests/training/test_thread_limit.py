"""Training where the system lets a process start few threads, as in a container."""

import pytest
import torch

from cgan_training.cli import common
from cgan_training.cli.common import limit_threads


@pytest.mark.parametrize(("started", "threads"), [(0, 1), (2, 1), (6, 2), (100, 4)])
def test_torch_gets_no_more_threads_than_can_start(
    monkeypatch: pytest.MonkeyPatch, started: int, threads: int
) -> None:
    monkeypatch.setattr(common, "startable_threads", lambda wanted: min(wanted, started // 2 + 1))
    before = torch.get_num_threads()
    try:
        limit_threads(4)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
