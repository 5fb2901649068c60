"""The pages say what was measured."""

from pathlib import Path

import click
import harness
import pytest
import readme


@pytest.mark.parametrize("page", readme.PAGES, ids=lambda page: page.name)
def test_pages_agree_with_the_tables(page: Path) -> None:
    assert page.read_text("utf-8") == readme.filled(page), "run python benchmarks/readme.py"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- begin: one (filled) -->\nold\n<!-- end: one -->\nafter\n")
    monkeypatch.setattr(readme, "PAGES", {path: {"one": lambda: "| new |\n"}})
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    return path


def test_only_what_is_marked_changes(page: Path) -> None:
    text = readme.filled(page)
    assert text.startswith("before\n<!-- begin: one (filled) -->\n\n| new |\n")
    assert text.endswith("\n<!-- end: one -->\nafter\n")
    assert "old" not in text
    page.write_text(text)
    assert readme.filled(page) == text


@pytest.mark.parametrize("marks", ["", "<!-- begin: two (x) -->\n<!-- end: two -->\n"])
def test_a_lost_mark_is_told(page: Path, marks: str) -> None:
    page.write_text(marks)
    with pytest.raises(click.ClickException, match="wanted is \\['one'\\]"):
        readme.filled(page)


def test_a_disagreement_fails(page: Path) -> None:
    with pytest.raises(click.ClickException, match=r"page\.md disagree"):
        readme.main.main(["--check"], standalone_mode=False)
    assert "old" in page.read_text()
    readme.main.main([], standalone_mode=False)
    readme.main.main(["--check"], standalone_mode=False)


def test_a_table_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text(harness.table(["", "µs, a", "ratio", "µs, b", "ratio"], [["x", *"1234"]]))
    rows = readme.read_table(path)
    assert rows == [{"": "x", "µs, a": "1", "ratio, a": "2", "µs, b": "3", "ratio, b": "4"}]
    assert (
        readme.shortened(rows, {"ratio, b": "gain"}, ["x"])
        == "|  | gain |\n|---|---:|\n| x | 4 |\n"
    )
    with pytest.raises(click.ClickException, match="lacks y"):
        readme.shortened(rows, {}, ["x", "y"])
