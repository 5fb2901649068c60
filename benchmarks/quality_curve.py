"""How fast do the recipes get good? Label accuracy and Fréchet distance against training time.

    cgan-train --recipe edge --dataset mnist --threads 1 --eval-every 2 --run-dir runs/edge-0
    cgan-train --recipe seed --dataset mnist --threads 1 --eval-every 10 --run-dir runs/seed
    python benchmarks/quality_curve.py runs/edge-0 runs/seed

Reads what the runs measured along the way. Writes docs/quality/curve.png and curve.json; with --add
it keeps what curve.json has of other recipes.
"""

import json
from pathlib import Path
from typing import Any

import click
from matplotlib.figure import Figure

from cgan_runtime.cli import conventions
from cgan_training.errors import TrainingError
from cgan_training.run import read_config
from cgan_training.run.directory import read_metrics

KEYS = ("epoch", "seconds", "label_accuracy", "frechet", "frechet_by_class", "recall", "coverage")


@click.command()
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), default="docs/quality")
@click.option("--add", is_flag=True, help="Keep the other recipes that curve.json has.")
def main(run_dirs: tuple[Path, ...], output: Path, add: bool) -> None:
    """Draw the curves of measured runs, named after their recipes."""
    runs: dict[str, dict[str, Any]] = {}
    if add:
        runs = json.loads((output / "curve.json").read_text("utf-8"))
    for run_dir in run_dirs:
        points = [
            {key: line[key] for key in KEYS}
            for line in read_metrics(run_dir)
            if "label_accuracy" in line
        ]
        if not points:
            raise TrainingError(f"{run_dir} measured nothing; train it with --eval-every")
        config = read_config(run_dir)
        del config["dataset"]["data_dir"]  # where it lay is nobody's business
        runs[config["recipe"]["name"]] = {"config": config, "points": points}
    output.mkdir(parents=True, exist_ok=True)
    (output / "curve.json").write_text(json.dumps(runs, indent=2) + "\n")
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    accuracy, distance = figure.subplots(1, 2)
    for name, run in runs.items():
        minutes = [point["seconds"] / 60 for point in run["points"]]
        accuracy.plot(minutes, [point["label_accuracy"] for point in run["points"]], ".-")
        (line,) = distance.plot(minutes, [point["frechet"] for point in run["points"]], ".-")
        by_class = [point["frechet_by_class"] for point in run["points"]]
        distance.plot(minutes, by_class, ".:", color=line.get_color())
        line.set_label(name)
        accuracy.lines[-1].set_label(name)
    distance.plot([], [], "k:", label="by class")
    accuracy.set(xlabel="minutes of training", ylabel="label accuracy", xscale="log", ylim=(0, 1))
    distance.set(
        xlabel="minutes of training", ylabel="Fréchet distance", xscale="log", yscale="log"
    )
    for axes in (accuracy, distance):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(output / "curve.png", dpi=100)


if __name__ == "__main__":
    conventions.run(main)
