"""What the questions work out of what they measured."""

import json
from pathlib import Path
from typing import Any

import frontier
import growth
import harness
import inference
import pytest
import roofline
import training


def test_linear_growth_is_found_again() -> None:
    rows = [{"images": count, "cpu": 0.25 + 3e-6 * count} for count in (10, 1000, 10**7)]
    start, image = growth.fit(rows)
    assert (start, image) == pytest.approx((0.25, 3e-6))


def test_processes_share_all_images_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[tuple[int, int]]] = []

    def run(shares: list[tuple[int, int]]) -> list[dict[str, float]]:
        seen.append(shares)
        return [{"cpu": 1.0, "memory": 9.0} for _ in shares]

    monkeypatch.setattr(growth, "in_processes", run)
    rows = growth.by_processes(1000, [1, 4])
    assert [row["processes"] for row in rows] == [1, 4]
    assert seen[-1] == [(0, 250), (250, 250), (500, 250), (750, 250)]


def test_a_whole_process_draws() -> None:
    spent = growth.draw_share(5, 20, 1)
    assert spent["cpu"] > 0
    assert 10 < spent["memory"] < 10_000  # MB


@pytest.mark.parametrize(
    ("change", "beaten"),
    [({"bytes": 9}, True), ({"label_accuracy": 0.98}, True), ({}, False), ({"frechet": 1}, False)],
)
def test_the_frontier(change: dict[str, float], beaten: bool) -> None:
    row = {"label_accuracy": 0.99, "frechet": 2.0, "bytes": 8, "one_us": 1.0, "bulk_us": 1.0}
    assert frontier.beats(row, row | change) is beaten


def test_every_point_of_the_frontier_is_measured() -> None:
    quality = frontier.read(frontier.DOCS / "quality" / "rows.json")["rows"]
    known = {
        "quality": quality,
        "precisions": frontier.read(frontier.DOCS / "precisions/rows.json"),
    }
    for source, name, _, _ in frontier.POINTS:
        assert {"label_accuracy", "frechet"} <= known[source][name].keys()
    assert frontier.REAL in quality


def test_the_roof_is_the_longer_of_two_times(monkeypatch: pytest.MonkeyPatch) -> None:
    core = {
        "peaks": [{"kind": "float32", "operations_per_second": 1e11}],
        "bandwidth": [
            {"bytes": 1_000, "bytes_per_second": 1e12},
            {"bytes": 4_000_000, "bytes_per_second": 1e10},
        ],
    }
    row = {"network": "seed", "engine": "numpy", "threads": 1, "cpu_us": 1200.0}
    one, bulk, other = (
        {**row, "batch": 1},
        {**row, "batch": 1000, "cpu_us": 59453.44},
        {**row, "batch": 1, "threads": 2},
    )
    found = roofline.shares(core, [one, bulk, other])
    assert [each["limit"] for each in found] == ["bandwidth", "peak"]
    assert found[0]["roof_us"] == pytest.approx(4 * 1_486_336 / 1e10 * 1e6, rel=1e-3)
    assert found[0]["share"] == pytest.approx(0.495, abs=0.001)
    assert found[1]["share"] == pytest.approx(0.5, abs=0.001)


def test_reading_and_products_are_what_they_say() -> None:
    assert float(roofline.reading(1 << 14)().max()) == (1 << 14) / 8  # type: ignore[attr-defined]
    products = {name: call() for name, call in roofline.products().items()}
    assert {name.split(", ")[0] for name in products} == set(roofline.BYTES)


def test_images_until_a_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [{"epoch": epoch, "label_accuracy": epoch / 100} for epoch in (90, 98, 97)]
    run = {"config": {"recipe": {"epoch_images": 60_000}}, "points": points}
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({"seed": run}))
    monkeypatch.setattr(training, "CURVE", path)
    assert training.images_until("seed", 0.97) == 97 * 60_000
    assert training.images_until("seed", 0.99) is None


def test_a_rival_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "HISTORY", tmp_path)
    times = {"wall_us": 9.0, "cpu_us": 9.0, "ratio": 1.0, "ratio_cpu": 1.0, "overhead_us": 1.0}
    rows: list[dict[str, Any]] = [
        {"network": network, "threads": 1, "batch": 1, "engine": engine, "bytes": 1}
        | {"error_mean": 0.0, "error_most": 0}
        | times
        for network in ("seed", "shipped")
        for engine in (
            "onnxruntime, plain export",
            "ours, int8",
            "ours, int8, a new seed each call",
        )
    ]
    line = harness.record("inference", rows, quick=True, missing={"ncnn": "not installed"})
    page = harness.publish("inference", line, inference.page(line), inference.plot(line))
    assert "**Missing: ncnn**: not installed" in page
    assert "| int8 | 1 | 1 | 1.0 | missing | 1 |" in page
