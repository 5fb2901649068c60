"""How fast do the recipes get good? Label accuracy and Fréchet distance against training time.

    cgan-train --recipe edge --dataset mnist --threads 1 --eval-every 2 --run-dir runs/edge-0
    python benchmarks/quality_curve.py runs/edge-0

Reads what the run measured along the way and, of the classic recipe, docs/seed/curve.json (see
seed_curve.py; one thread too, but of another machine). Writes docs/quality/curve.png, curve.json.
"""

import json
from pathlib import Path

import click
from matplotlib.figure import Figure

from cgan_training import commands
from cgan_training.errors import TrainingError
from cgan_training.run import read_config
from cgan_training.run_dir import read_metrics

KEYS = ("epoch", "seconds", "label_accuracy", "frechet", "frechet_by_class", "recall", "coverage")


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--seed-curve", type=click.Path(path_type=Path), default="docs/seed/curve.json")
@click.option("--output", type=click.Path(path_type=Path), default="docs/quality")
def main(run_dir: Path, seed_curve: Path, output: Path) -> None:
    """Draw the curves of a measured run beside the classic recipe's."""
    measured = [
        {key: line[key] for key in KEYS}
        for line in read_metrics(run_dir)
        if "label_accuracy" in line
    ]
    if not measured:
        raise TrainingError(f"{run_dir} measured nothing; train it with --eval-every")
    classic = json.loads(seed_curve.read_text())["points"]
    output.mkdir(parents=True, exist_ok=True)
    result = {"config": read_config(run_dir), "points": measured}
    (output / "curve.json").write_text(json.dumps(result, indent=2) + "\n")
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    accuracy, distance = figure.subplots(1, 2)
    for points, name in ((measured, "edge"), (classic, "seed")):
        seconds = [point["seconds"] / 60 for point in points]
        accuracy.plot(seconds, [point["label_accuracy"] for point in points], ".-", label=name)
    minutes = [point["seconds"] / 60 for point in measured]
    distance.plot(minutes, [point["frechet"] for point in measured], ".-", label="all")
    distance.plot(
        minutes, [point["frechet_by_class"] for point in measured], ".-", label="by class"
    )
    accuracy.set(xlabel="minutes of training", ylabel="label accuracy", xscale="log", ylim=(0, 1))
    distance.set(xlabel="minutes of training", ylabel="Fréchet distance of edge", yscale="log")
    for axes in (accuracy, distance):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(output / "curve.png", dpi=100)


if __name__ == "__main__":
    commands.run(main, TrainingError)
