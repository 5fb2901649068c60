"""Plot label accuracy and Fréchet distance of the recipes by training time.

    cgan-train --recipe edge --dataset mnist --threads 1 --eval-every 2 --run-dir runs/edge-0
    cgan-train --recipe classic --dataset mnist --threads 1 --eval-every 10 --run-dir runs/classic
    python benchmarks/quality_curve.py runs/edge-0 runs/classic

Reads what the runs measured while they trained. Writes docs/quality/curve.png and curve.json; --add
keeps the other recipes in curve.json.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_runtime.cli import runner
from cgan_training.errors import TrainingError
from cgan_training.run import read_config, read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYS = ("epoch", "seconds", "label_accuracy", "frechet", "frechet_by_class", "recall", "coverage")


@click.command()
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), default="docs/quality")
@click.option("--add", is_flag=True, help="Keep the other recipes in curve.json.")
def main(run_dirs: tuple[Path, ...], output: Path, add: bool) -> None:
    """Plot the measurements of runs, named after their recipes."""
    runs: dict[str, dict[str, Any]] = {}
    if add:
        runs = json.loads((output / "curve.json").read_text("utf-8"))
    for run in map(read_run, run_dirs):
        runs[run["config"]["recipe"]["name"]] = run
    output.mkdir(parents=True, exist_ok=True)
    (output / "curve.json").write_text(json.dumps(runs, indent=2) + "\n")
    plot(runs).savefig(output / "curve.png", dpi=100)


def read_run(run_dir: Path) -> dict[str, Any]:
    """Return the config of a run, and its quality metrics by epoch."""
    points = [
        {key: line[key] for key in KEYS}
        for line in read_metrics(run_dir)
        if "label_accuracy" in line
    ]
    if not points:
        raise TrainingError(f"{run_dir} has no quality metrics; train it with --eval-every")
    config = read_config(run_dir)
    del config["dataset"]["data_dir"]  # a path of the user's machine
    return {"config": config, "points": points}


def plot(runs: dict[str, dict[str, Any]]) -> "Figure":
    """Return a figure of accuracy and distance by minutes of training, one color per recipe."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    accuracy, distance = figure.subplots(1, 2)
    for name, run in runs.items():
        columns = {key: [point[key] for point in run["points"]] for key in KEYS}
        minutes = [seconds / 60 for seconds in columns["seconds"]]
        accuracy.plot(minutes, columns["label_accuracy"], ".-", label=name)
        (line,) = distance.plot(minutes, columns["frechet"], ".-", label=name)
        distance.plot(minutes, columns["frechet_by_class"], ".:", color=line.get_color())
    distance.plot([], [], "k:", label="by class")
    accuracy.set(xlabel="minutes of training", ylabel="label accuracy", xscale="log", ylim=(0, 1))
    distance.set(
        xlabel="minutes of training", ylabel="Fréchet distance", xscale="log", yscale="log"
    )
    for axes in (accuracy, distance):
        axes.legend()
        axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    runner.run(main)
