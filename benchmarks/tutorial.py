"""Write the notebook and the pictures of docs/tutorial from its code blocks and commands.

    python benchmarks/tutorial.py            # write the notebook
    python benchmarks/tutorial.py --run      # also train and write the pictures (20 minutes)

tests/docs/test_tutorial.py runs the notebook and the solutions on a small dataset, and compares the
notebook with the text.
"""

import json
import math
import os
import re
import shlex
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from nbformat import v4, writes
from PIL import Image

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "tutorial"
TEXT, SOLUTIONS, GALLERY = (
    (FOLDER / name).read_text(encoding="utf-8")
    for name in ("README.md", "solutions.md", "gallery.md")
)
NOTEBOOK = FOLDER / "conditional_gan.ipynb"
CODE_BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
PICTURE_LINE = re.compile(r"\n!\[[^]]*\]\(\w+\.png\)\n")  # the notebook shows its own plots
PAGE_START = re.compile(
    r"^Run `make setup`.*?conditional_gan\.ipynb`\.\n", re.MULTILINE | re.DOTALL
)
NOTEBOOK_START = (
    "This notebook is also a [page](README.md). `make setup` makes its kernel, `.venv`.\n"
)
SAVE_CALL = re.compile(r"(\.save|\nplt\.savefig)\(\s*pictures / \"\w+\.png\"\s*\)$")
TRAIN_COMMAND = re.compile(r"^ {4}(cgan-train (?:.*\\\n)*.*--run-dir runs/(\w+))$", re.MULTILINE)
SHEET_SIZE = 604, 328  # pixels: the first five rows of a sheet, with the names of the columns
PLOT_INCHES = 4.0, 3.28  # 100 pixels per inch
COLORS = 32  # number of colors of a picture, so that its file is small


def notebook(text: str) -> str:
    """Return the tutorial as a notebook. It shows the pictures that the code of the page saves."""
    cells = []
    text = PAGE_START.sub(NOTEBOOK_START, PICTURE_LINE.sub("", text))
    for i, part in enumerate(CODE_BLOCK.split(text)):
        content, id_ = part.strip(), f"cell-{i}"
        if i % 2:  # split() returns the groups, which are the code blocks, at odd positions
            cells.append(v4.new_code_cell(SAVE_CALL.sub("", content), id=id_))
        else:
            cells.append(v4.new_markdown_cell(content, id=id_))
    return f"{writes(v4.new_notebook(cells=cells))}\n"


def plot_run(run: Path) -> Image.Image:
    """Plot the losses of a run of cgan-train beside the first rows of its last sample sheet."""
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    figure = Figure(PLOT_INCHES, dpi=100, layout="constrained")
    axes = figure.subplots()
    for name in ("discriminator", "generator"):
        losses = [line[f"loss_{name}"] for line in metrics]
        axes.plot([line["epoch"] for line in metrics], losses, label=name)
    axes.axhline(math.log(2), color="gray", linestyle=":")
    axes.set(xlabel="epoch", ylabel="loss", ylim=(0, max(1, axes.get_ylim()[1])))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    plot = Image.open(buffer)
    sheet = Image.open(max((run / "samples").glob("*.png"))).crop((0, 0, *SHEET_SIZE))
    picture = Image.new("RGB", (plot.width + sheet.width, sheet.height))
    picture.paste(plot, (0, 0))
    picture.paste(sheet, (plot.width, 0))
    return picture.quantize(COLORS, Image.Quantize.MAXCOVERAGE)


def make_gallery() -> None:
    """Run the commands of the gallery, and plot each run."""
    with TemporaryDirectory() as folder:
        for command, name in TRAIN_COMMAND.findall(GALLERY):
            program, *words = shlex.split(
                command.replace("\\\n", "").replace(" runs/", f" {folder}/")
            )
            subprocess.run(
                [Path(sys.executable).with_name(program), *words],
                cwd=ROOT,
                check=False,  # a run that collapses ends with an error
            )
            plot_run(Path(folder, name)).save(FOLDER / "gallery" / f"{name}.png", optimize=True)


def run_blocks() -> None:
    """Run the code blocks of the text and the solutions, which save their pictures."""
    code = "\n".join(CODE_BLOCK.findall(TEXT + SOLUTIONS))
    for given, path in (
        ("data", os.environ.get("CGAN_DATA_DIR", ROOT / "data")),
        ("runs/tutorial", FOLDER),
    ):
        code = code.replace(f'Path("{given}")', f"Path({str(path)!r})")
    exec(code, {"__name__": "__main__"})


@click.command()
@click.option("--run", is_flag=True, help="Also train and write the pictures.")
def main(run: bool) -> None:
    """Write the notebook of the tutorial."""
    NOTEBOOK.write_text(notebook(TEXT), encoding="utf-8")
    if run:
        make_gallery()
        run_blocks()


if __name__ == "__main__":
    main()
