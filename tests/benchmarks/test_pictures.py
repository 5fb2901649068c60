"""The pictures of the documentation are up to date with what they were made from."""

from pathlib import Path

import click
import harness
import pictures
import pytest


def test_every_picture_was_made_from_the_current_inputs() -> None:
    assert not pictures.out_of_date(), "run make pictures"


def test_the_table_lists_every_picture() -> None:
    files = [
        path for folder in ("docs", "runtime/src") for path in (harness.ROOT / folder).rglob("*")
    ]
    found = {
        path.relative_to(harness.ROOT).as_posix()
        for path in files
        if path.suffix in {".png", ".webp", ".gif", ".svg"}
    }
    assert set(pictures.PICTURES) == found


def test_another_input_makes_a_picture_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "input").write_text("a")
    picture = pictures.Picture("true", ("input",))
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    monkeypatch.setattr(pictures, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(pictures, "PICTURES", {"x.png": picture})
    pictures.main([], standalone_mode=False)
    assert pictures.out_of_date() == []
    (tmp_path / "input").write_text("b")
    assert pictures.out_of_date() == ["x.png"]


def test_inputs_that_do_not_exist_are_rejected() -> None:
    with pytest.raises(click.ClickException, match="no file matches nothing"):
        pictures.inputs_sha256(pictures.Picture("true", ("nothing",)))
