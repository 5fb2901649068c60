"""Interleaved timing, and the history of results."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import harness
import pytest
from harness import Timing


def test_every_call_runs_once_per_round_in_changing_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    calls: dict[str, Callable[[], object]] = {name: partial(seen.append, name) for name in "abc"}
    monkeypatch.setattr(harness, "_calls_per_measurement", lambda *_: 1)
    harness.time_interleaved(calls, rounds=20, seconds=1)
    rounds = ["".join(seen[first : first + 3]) for first in range(0, len(seen), 3)]
    assert {"".join(sorted(each)) for each in rounds} == {"abc"}
    assert len(set(rounds)) > 3


def test_a_speedup_compares_timings_of_one_round() -> None:
    base = Timing([8.0, 32.0, 8.0], [4.0, 16.0, 4.0])  # the machine was slow in the second round
    fast = Timing([2.0, 8.0, 4.0], [1.0, 4.0, 2.0])
    assert (fast.summary(base)["ratio"], fast.summary(base)["ratio_cpu"]) == (4, 4)


def test_only_a_full_run_writes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "HISTORY", tmp_path)
    monkeypatch.setattr(harness, "PAGES", tmp_path)
    assert harness.last_record("startup") is None
    for quick in (True, False):
        missing = {"ncnn": "not installed"}
        record = harness.append_record("startup", [], quick=quick, missing=missing)
        assert "**Missing: ncnn**: not installed" in harness.publish("startup", record, "# Startup")
        assert harness.last_record("startup", quick=quick) == record
        assert (tmp_path / "startup.md").exists() is not quick


@pytest.mark.parametrize(("busy", "counts"), [(0.0, [1, 4]), (0.5, [1])], ids=["idle", "busy"])
def test_a_busy_machine_is_measured_on_one_thread(
    monkeypatch: pytest.MonkeyPatch, busy: float, counts: list[int]
) -> None:
    monkeypatch.setattr(harness, "available_threads", lambda: 4)
    monkeypatch.setattr(harness, "busy_share", lambda: busy)
    measured, missing = harness.thread_counts()
    assert measured == counts
    assert bool(missing) is (4 not in counts)
