"""Rounds that are fair, and records that tell."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import harness
import pytest
from harness import Timing


def test_each_has_a_turn_in_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    calls: dict[str, Callable[[], object]] = {name: partial(seen.append, name) for name in "abc"}
    monkeypatch.setattr(harness, "_repeats", lambda *_: 3)
    found = harness.interleaved(calls, rounds=20, seconds=1)
    rounds = ["".join(seen[first : first + 12]) for first in range(0, len(seen), 12)]
    assert len(rounds) == 20
    assert all(sorted(each) == sorted("aaaabbbbcccc") for each in rounds)  # one to warm up
    assert all(name * 4 in each for each in rounds for name in "abc")
    assert len(set(rounds)) > 3  # not always after the same neighbour
    assert [len(each.wall) for each in found.values()] == [20] * 3


def test_a_turn_is_the_mean_of_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(time, "process_time", lambda: clock[0] / 2)

    def call() -> None:
        clock[0] += 3.0

    found = harness.interleaved({"call": call}, rounds=2, seconds=30)["call"]
    assert found.wall == [3.0, 3.0]
    assert found.cpu == [1.5, 1.5]


def test_ratios_are_taken_within_a_round() -> None:
    """The machine was four times as slow in the second round: that is no business of the ratio."""
    base, fast = (
        Timing([8.0, 32.0, 8.0], [4.0, 16.0, 4.0]),
        Timing([2.0, 8.0, 4.0], [1.0, 4.0, 2.0]),
    )
    assert fast.ratio(base) == 4
    assert fast.ratio_cpu(base) == 4
    assert fast.median == 4
    facts = fast.facts(base)
    assert (facts["wall_us"], facts["cpu_us"], facts["ratio"]) == (4e6, 2e6, 4)
    assert facts["wall_low_us"] < facts["wall_us"] < facts["wall_high_us"]


def test_a_record_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "HISTORY", tmp_path / "history")
    assert harness.last_record("start") is None
    harness.record("start", [{"a": 1}], missing={"ncnn": "not installed"})
    harness.record("start", [{"a": 2}], quick=True)
    lines = (tmp_path / "history" / "start.jsonl").read_text().splitlines()
    assert [json.loads(line)["rows"] for line in lines] == [[{"a": 1}], [{"a": 2}]]
    last = harness.last_record("start")
    assert last is not None
    assert last["rows"] == [{"a": 1}]
    assert last["machine"]["cpus"] >= 1
    assert "numpy" in last["versions"]
    words = harness.conditions(last)
    assert "**Missing: ncnn**: not installed" in words
    assert str(Path.home()) not in words


def test_the_short_form_writes_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "PAGES", tmp_path / "pages")
    monkeypatch.setattr(harness, "HISTORY", tmp_path / "history")
    line = harness.record("start", [], quick=True)
    assert "# Start" in harness.publish("start", line, "# Start")
    assert not (tmp_path / "pages").exists()
    harness.publish("start", harness.record("start", []), "# Start")
    assert (tmp_path / "pages" / "start.md").read_text().startswith("# Start\n")


@pytest.mark.parametrize(
    ("cpus", "busy", "counts"),
    [(4, 0.0, [1, 4]), (4, 0.5, [1]), (1, 0.5, [1]), (1, 0.0, [1])],
)
def test_a_busy_machine_is_not_asked_for_all_threads(
    monkeypatch: pytest.MonkeyPatch, cpus: int, busy: float, counts: list[int]
) -> None:
    monkeypatch.setattr(harness, "available_threads", lambda: cpus)
    monkeypatch.setattr(harness, "busy_share", lambda: busy)
    found, missing = harness.thread_counts()
    assert found == counts
    assert list(missing) == (["4 threads"] if cpus > 1 and busy else [])


def test_busy_is_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "WATCHED", 0.05)
    assert 0 <= harness.busy_share() <= 1


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (123.45, "123"), (12.34, "12.3"), (1.234, "1.23")]
)
def test_numbers(value: float, text: str) -> None:
    assert harness.number(value) == text
