"""How good are the digits? Every model and every control in one table.

    python benchmarks/quality.py 'seed, epoch 200=runs/seed' 'edge, seed 0=runs/edge-0' ...

Measures each NAME=MODEL with everything that `cgan-eval` measures, adds the controls, and writes
docs/quality/: rows.json, table.md, and of the last model sheet.png, confusion.png, nearest.png.
"""

import json
from pathlib import Path

import click
import harness
import torch

from cgan_export.drawers import Drawer, open_drawer
from cgan_export.errors import ExportError
from cgan_export.eval_pictures import confusion_picture, nearest_picture, sheet_picture
from cgan_export.evaluation import Evaluation, Examiner
from cgan_runtime.errors import CganRuntimeError
from cgan_training import commands, measures
from cgan_training.errors import TrainingError

COLUMNS = {
    "accuracy": ("label_accuracy", "{:.4f}"),
    "worst digit": ("worst_label_accuracy", "{:.3f}"),
    "Fréchet": ("frechet", "{:.3f}"),
    "by class": ("frechet_by_class", "{:.2f}"),
    "precision": ("precision", "{:.3f}"),
    "recall": ("recall", "{:.3f}"),
    "density": ("density", "{:.2f}"),
    "coverage": ("coverage", "{:.3f}"),
    "CAS": ("cas", "{:.4f}"),
    "memorised": ("memorised", "{:.1%}"),
    "Parzen": ("parzen", "{:.0f}"),
}


@click.command()
@click.argument("models", nargs=-1, required=True, callback=harness.named_paths)
@click.option("--data-dir", type=click.Path(path_type=Path), default="data", envvar="CGAN_DATA_DIR")
@click.option("--dataset", default="mnist", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="docs/quality")
@click.option("--cache-dir", type=click.Path(path_type=Path), default=Path.home() / ".cache/cgan")
@click.option("--threads", type=click.IntRange(1))
def main(
    models: dict[str, Path],
    data_dir: Path,
    dataset: str,
    output: Path,
    cache_dir: Path,
    threads: int | None,
) -> None:
    """Measure the models, named NAME=MODEL, and write the table."""
    if threads is not None:
        torch.set_num_threads(threads)
    examiner = Examiner(dataset, data_dir, cache_dir, lambda line: click.echo(line, err=True))
    drawers = {name: open_drawer(path) for name, path in models.items()}
    last = list(drawers.values())[-1]
    known = measures.controls(
        (examiner.train.images, examiner.train.labels), examiner.train.classes, last.draw
    )
    for name, draw in known.items():
        drawers[name] = Drawer(name, last.dataset, last.class_names, last.shape, draw)
    rows = {name: examiner.examine(drawer) for name, drawer in drawers.items()}
    output.mkdir(parents=True, exist_ok=True)
    found = {name: row.to_dict()["figures"] for name, row in rows.items()}
    result = {"judge_accuracy": examiner.judge_accuracy, "rows": found}
    (output / "rows.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    (output / "table.md").write_text(table(rows))
    harness.record("quality", result)
    click.echo(table(rows))
    shown, names = rows[list(models)[-1]], last.class_names
    title = list(models)[-1]
    pictures = {
        "sheet.png": sheet_picture(shown, names, title),
        "confusion.png": confusion_picture(shown, names, title),
        "nearest.png": nearest_picture(
            shown, examiner.train.images, names, "drawn, and its nearest training image"
        ),
    }
    for name, png in pictures.items():
        (output / name).write_bytes(png)


def table(rows: dict[str, Evaluation]) -> str:
    """Return the figures as Markdown."""
    lines = [
        [name, *(form.format(row.figures[key]) for key, form in COLUMNS.values())]
        for name, row in rows.items()
    ]
    return harness.table(["", *COLUMNS], lines)


if __name__ == "__main__":
    commands.run(main, (ExportError, TrainingError, CganRuntimeError))
