"""Plot the label accuracy of the classic recipe by epoch, compared with the original script.

    cgan-train --recipe classic --dataset mnist --eval-every 5 --run-dir runs/classic
    python benchmarks/classic_curve.py runs/classic

Reads what the run measured while it trained. Writes curve.json, curve.png, curve.md and sheet.png
into docs/classic/.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import harness
from quality_curve import read_run

from cgan_runtime.cli import runner

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Label accuracy by epoch of the script that the recipe reproduces, which is not in this repository.
# It took 24.7 s per epoch on two cores, and was measured with a classifier of 99.6 % accuracy.
ORIGINAL = {20: 0.12, 30: 0.59, 50: 0.82, 75: 0.93, 100: 0.97}


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--output", type=click.Path(path_type=Path), default="docs/classic")
def main(run_dir: Path, output: Path) -> None:
    """Plot the label accuracy of RUN_DIR."""
    run = read_run(run_dir)
    output.mkdir(parents=True, exist_ok=True)
    (output / "curve.json").write_text(json.dumps(run, indent=2) + "\n")
    (output / "curve.md").write_text(table(run["points"]))
    plot(run["points"]).savefig(output / "curve.png", dpi=100)
    shutil.copy(run_dir / "grid.png", output / "sheet.png")


def table(points: list[dict[str, Any]]) -> str:
    """Return the label accuracy by epoch as Markdown, with the values of the original script."""
    rows = [
        [
            point["epoch"],
            f"{point['seconds'] / 60:.0f} min",
            f"{point['label_accuracy']:.1%}",
            f"{ORIGINAL[point['epoch']]:.0%}" if point["epoch"] in ORIGINAL else "",
        ]
        for point in points
        if point["epoch"] in ORIGINAL or point["epoch"] % 25 == 0 or point["epoch"] == 10
    ]
    return harness.table(["epoch", "training time", "label accuracy", "original script"], rows)


def plot(points: list[dict[str, Any]]) -> "Figure":
    """Return a figure of the curve and the points of the original script."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs = [point["epoch"] for point in points]
    accuracy = [point["label_accuracy"] for point in points]
    axes.plot(epochs, accuracy, marker=".", label="recipe classic, this repository")
    axes.plot(*zip(*ORIGINAL.items(), strict=True), "x", label="original script")
    axes.set(xlabel="epoch", ylabel="label accuracy", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    runner.run(main)
