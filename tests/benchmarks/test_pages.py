"""Benchmark pages agree with the committed measurements."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bulk
import classic_curve
import click
import fill_pages
import frontier
import harness
import inference
import precisions
import pytest
import quality
import roofline
import scaling
import startup
import training

from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_training.evaluation.controls import CONTROLS, SHIFTED

CARD = SHIPPED_MODEL.with_suffix(".md")
PAGE_TEXTS = {"training": training.page, "training-cuda": training.page} | {
    module.BENCHMARK: lambda record, module=module: module.page(record["rows"])
    for module in (frontier, inference, roofline, scaling, startup)
}
TABLES: dict[str, Callable[[Any], str]] = {
    "benchmarks/bulk": lambda content: bulk.table(content["rounds"]),
    "classic/curve": lambda content: classic_curve.table(content["points"]),
    "precisions": precisions.table,
    "quality": lambda content: quality.table(content["rows"], content["classifier"]),
    "quality/optdigits": lambda content: quality.table(content["rows"], content["classifier"]),
}


@pytest.mark.parametrize("name", PAGE_TEXTS)
def test_a_page_agrees_with_the_last_record(name: str) -> None:
    record = harness.last_record(name)
    assert record is not None
    page = (harness.PAGES / f"{name}.md").read_text("utf-8")
    assert page.startswith(PAGE_TEXTS[name](record).strip())
    assert page.endswith(f"\n{harness.conditions(record)}\n")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_agrees_with_its_data(name: str) -> None:
    path = fill_pages.DOCS / name
    data, table = (path / "rows.json", path / "table.md")
    if not path.is_dir():
        data, table = path.with_suffix(".json"), path.with_suffix(".md")
    assert table.read_text("utf-8") == TABLES[name](json.loads(data.read_text("utf-8")))


@pytest.mark.parametrize("page", fill_pages.pages_to_fill(), ids=lambda page: page.name)
def test_a_page_contains_the_committed_tables_and_figures(page: Path) -> None:
    assert page.read_text("utf-8") == fill_pages.fill_page(page), "run benchmarks/fill_pages.py"


def test_a_page_without_its_section_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- begin: two (x) -->\n<!-- end: two -->\n")
    monkeypatch.setattr(fill_pages, "PAGES", {page: {"one": lambda: ""}})
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    with pytest.raises(click.ClickException, match=r"expected \['one'\]"):
        fill_pages.fill_page(page)


# Patterns of figures in generated lines, which have no comment `<!-- figure: NAME -->`.
FIGURE_PATTERNS = {
    "array-memory": r"in (\d+) MB$|number: \D*(\d+)\D* MB for a million images",
    "installed-size": r"^\| cgan-run .* (\d+) \|$",
    "model-accuracy": r"^\| (?:the model that ships|edge-finish, int8) \|.*? (0\.\d{4}) \|",
    "model-bytes": r"`digits\.onnx`, ([\d,]+) bytes|ships .*?([\d,]{7}).*? bytes",
}


def find_figures(name: str) -> dict[str, set[str]]:
    """Return the values that pages state for a figure, by page."""
    found: dict[str, set[str]] = {}
    for page in (*fill_pages.pages_to_fill(), *fill_pages.DOCS.rglob("*.md"), CARD):
        for match in re.finditer(FIGURE_PATTERNS[name], page.read_text("utf-8"), re.MULTILINE):
            found.setdefault(page.name, set()).add(next(filter(None, match.groups())))
    return found


@pytest.mark.parametrize("name", FIGURE_PATTERNS)
def test_pages_agree_on_a_figure(name: str) -> None:
    stated = find_figures(name)
    assert stated, "the pattern finds no page"
    assert set().union(*stated.values()) == {fill_pages.FIGURES[name]()}, stated


def test_an_unknown_figure_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- figure: speed -->1<!-- end -->")
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    with pytest.raises(click.ClickException, match="marks the figure speed; the figures are"):
        fill_pages.fill_page(page)


def test_rows_of_another_classifier_are_marked_and_controls_come_last() -> None:
    old = {key: 0.5 for key, _ in quality.COLUMNS.values()}
    new = old | {"classifier": "c"}
    table = quality.table(quality.merge_rows({CONTROLS[0]: new, "old": old}, {"new": new}), "c")
    names = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert names == ["old †", "new", CONTROLS[0]]
    assert quality.controls_to_measure(dict.fromkeys(CONTROLS, new), "c") == {SHIFTED}


def test_an_undefined_metric_is_an_empty_cell() -> None:
    row = {key: None for key, _ in quality.COLUMNS.values()} | {"classifier": "c"}
    cells = quality.table({"model": row}, "c").splitlines()[-1].split("|")[2:-1]
    assert {cell.strip() for cell in cells} == {""}


def test_generated_c_multiplies_int8() -> None:
    assert roofline.number_format("generated C, gcc -O2") == "int8"
    assert roofline.number_format("ours, fp32") == "float32"


def test_the_values_of_processes_are_medians_of_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = iter({"wall": wall, "cpu": 9.0 - wall, "memory": 10 * wall} for wall in (2.0, 1.0, 6.0))
    monkeypatch.setattr(scaling, "run_processes", lambda _ranges: next(runs))
    (row,) = scaling.measure_processes(100, [2])
    assert row == {"processes": 2, "images": 100, "wall": 2.0, "cpu": 7.0, "memory": 20.0}


@pytest.mark.parametrize(("options", "seconds"), [(["--quick"], 0.01), ([], 0.02)])
def test_a_record_of_inference_holds_the_length_of_its_measurements(
    monkeypatch: pytest.MonkeyPatch, options: list[str], seconds: float
) -> None:
    recorded: dict[str, Any] = {}
    monkeypatch.setattr(harness, "thread_counts", lambda: ([1], {}))
    monkeypatch.setattr(harness, "append_record", lambda *_, **values: recorded.update(values))
    monkeypatch.setattr(harness, "publish", lambda *_: "")
    empty: dict[str, Any] = {"rows": [], "missing": {}}
    monkeypatch.setattr(inference, "measure_in_process", lambda *_, **__: empty)
    monkeypatch.setattr(inference, "page", lambda _rows: "")
    monkeypatch.setattr(inference, "plot", lambda _rows: None)
    inference.main(options, standalone_mode=False)
    assert recorded["settings"]["seconds"] == seconds


def test_the_measured_code_runs() -> None:
    assert set(roofline.WEIGHT_BYTES) == {
        name.split(", ")[0] for name in roofline.matrix_multiplications()
    }
    roofline.memory_read(1 << 14)()
    assert 10 < scaling.generate_range(5, 20)["memory"] < 10_000  # MB
