"""The tutorial: its notebook equals its text, and runs."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest
import tutorial


def test_the_notebook_is_made_from_the_text() -> None:
    text = (tutorial.FOLDER / "README.md").read_text(encoding="utf-8")
    saved = tutorial.NOTEBOOK.read_text(encoding="utf-8")
    assert saved == tutorial.notebook(text), "run python benchmarks/tutorial.py"


def test_the_notebook_runs_and_shows_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small run: one epoch on scikit-learn's digits."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    content = tutorial.NOTEBOOK.read_text(encoding="utf-8")
    small = content.replace('\\"auto\\"', '\\"optdigits\\"').replace("epochs = 20", "epochs = 1")
    assert small != content
    notebook = nbformat.reads(small, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    assert re.search(
        r"^epoch  1: discriminator \d\.\d{3}, generator \d\.\d{3}$", printed, re.MULTILINE
    )
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
