"""The tutorial: its notebook is made from its text; the text and the solutions run."""

import re
from dataclasses import replace
from pathlib import Path

import nbclient
import nbformat
import pytest
import tutorial

from cgan_training.recipe import (
    PerceptronDiscriminatorSettings,
    PerceptronGeneratorSettings,
    load_recipe,
)


def test_the_notebook_is_made_from_the_text() -> None:
    saved = tutorial.NOTEBOOK.read_text(encoding="utf-8")
    assert saved == tutorial.notebook(tutorial.TEXT), "run python benchmarks/tutorial.py"


def test_a_wrong_option_leaves_the_notebook_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tutorial, "NOTEBOOK", tmp_path / "notebook.ipynb")
    monkeypatch.setattr("sys.argv", ["tutorial.py", "--wrong"])
    with pytest.raises(SystemExit):
        tutorial.main()
    assert not tutorial.NOTEBOOK.exists()


def test_the_notebook_and_the_solutions_run_and_show_their_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small run: one epoch on scikit-learn's digits."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    text = tutorial.TEXT + tutorial.SOLUTIONS
    for given, small in (
        ('"auto"', '"optdigits"'),
        ("60_000", "1_500"),
        ("epochs = 20", "epochs = 1"),
        (", 5)", ", 1)"),
    ):
        assert given in text
        text = text.replace(given, small)
    notebook = nbformat.reads(tutorial.notebook(text), as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    losses = re.findall(
        r"^epoch  1: discriminator \d\.\d{3}, generator \d\.\d{3}$", printed, re.MULTILINE
    )
    assert len(losses) == 4
    assert "dataset: scikit-learn's handwritten digits\n" in printed
    assert "Trying to backward through the graph a second time" in printed
    shown = sum("image/png" in output.get("data", {}) for output in outputs)
    pictures = re.findall(r"^!\[[^]]*\]\(\w+\.png\)$", text, re.MULTILINE)
    assert shown == len(pictures) == 9


def test_recipe_gan_equals_the_tutorials_recipe_without_conditioning() -> None:
    gan = load_recipe("gan")
    recipe = load_recipe(str(tutorial.FOLDER / "tutorial.toml"))
    assert isinstance(gan.generator, PerceptronGeneratorSettings)
    assert isinstance(gan.discriminator, PerceptronDiscriminatorSettings)
    assert not gan.generator.conditional
    assert not gan.discriminator.conditional
    assert recipe == replace(
        gan,
        name="tutorial",
        generator=replace(gan.generator, conditional=True),
        discriminator=replace(gan.discriminator, conditional=True),
    )


def test_the_gallery_has_a_command_for_each_picture() -> None:
    names = {name for _, name in tutorial.TRAIN_COMMAND.findall(tutorial.GALLERY)}
    assert names == {path.stem for path in (tutorial.FOLDER / "gallery").glob("*.png")}


def test_a_run_is_plotted(run_dir: Path) -> None:
    picture = tutorial.plot_run(run_dir)
    assert picture.size == (1004, 328)
    assert len(picture.getcolors() or ()) == tutorial.COLORS
