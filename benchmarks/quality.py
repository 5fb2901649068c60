"""How good are the digits? Every model and every control in one table.

    python benchmarks/quality.py 'seed, epoch 200=runs/seed' 'edge, seed 0=runs/edge-0' ...

Measures each NAME=MODEL with everything that `cgan-eval` measures, the means of four sets of images
(CAS and Parzen of one), adds the controls, and writes docs/quality/: rows.json, table.md, and of
the last model sheet.png, confusion.png, nearest.png.

Figures hang on the judge, and another machine trains another one. MNIST's is kept in
benchmarks/models, so that figures of different days and machines compare:

    python benchmarks/quality.py --add 'mine=runs/mine'  # into the table
    python benchmarks/quality.py --add --quick 'mine=runs/mine'  # without CAS, Parzen

A row that another judge measured is marked until it is measured anew.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import harness
import torch

from cgan_export.evaluation.evaluator import Evaluator
from cgan_export.evaluation.image_sources import ImageSource, open_source
from cgan_export.evaluation.pictures import confusion_picture, nearest_picture, sheet_picture
from cgan_runtime.cli import conventions
from cgan_training import evaluation
from cgan_training.evaluation.classifier import classifier_file_name

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
OTHERS = " †"  # behind the name of what another judge measured
Rows = dict[str, dict[str, Any]]  # figures by name, and which judge measured


@click.command()
@click.argument("models", nargs=-1, required=True, callback=harness.named_paths)
@click.option("--data-dir", type=click.Path(path_type=Path), default="data", envvar="CGAN_DATA_DIR")
@click.option("--dataset", default="mnist", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="docs/quality")
@click.option("--cache-dir", type=click.Path(path_type=Path), default=harness.MODELS)
@click.option("--draws", type=click.IntRange(1), default=harness.DRAWS, show_default=True)
@click.option("--threads", type=click.IntRange(1))
@click.option("--add", is_flag=True, help="Keep the rows that are there.")
@click.option("--quick", is_flag=True, help="Leave out CAS and Parzen, which take minutes.")
def main(
    models: dict[str, Path],
    data_dir: Path,
    dataset: str,
    output: Path,
    cache_dir: Path,
    draws: int,
    threads: int | None,
    add: bool,
    quick: bool,
) -> None:
    """Measure the models, named NAME=MODEL, and write the table."""
    if threads is not None:
        torch.set_num_threads(threads)
    examiner = Evaluator(dataset, data_dir, cache_dir, lambda line: click.echo(line, err=True))
    drawers = {name: open_source(path) for name, path in models.items()}
    last = list(drawers.values())[-1]
    real = examiner.train.images, examiner.train.labels
    known = cache_dir / classifier_file_name(*real, classes=examiner.train.classes)
    judge = hashlib.sha256(known.read_bytes()).hexdigest()[:16]
    before: Rows = json.loads((output / "rows.json").read_text("utf-8"))["rows"] if add else {}
    for name, draw in evaluation.controls(real, examiner.train.classes, last.draw).items():
        if name in to_measure(before, judge):
            drawers[name] = ImageSource(name, last.dataset, last.class_names, last.shape, draw)
    evaluations = {
        name: examiner.evaluate(each, quick=quick, draws=draws) for name, each in drawers.items()
    }
    rows: Rows = {
        name: each.figures | {"deviations": each.deviations, "draws": draws, "judge": judge}
        for name, each in evaluations.items()
    }
    output.mkdir(parents=True, exist_ok=True)
    harness.record("quality", {"judge_accuracy": examiner.judge_accuracy, "rows": rows})
    rows = merged(before, rows)
    result = {"judge_accuracy": examiner.judge_accuracy, "judge": judge, "rows": rows}
    (output / "rows.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    text = table(rows, judge)
    (output / "table.md").write_text(text)
    click.echo(text)
    shown, names = evaluations[list(models)[-1]], last.class_names
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


def to_measure(before: Rows, judge: str) -> set[str]:
    """Return the controls to measure: those new to this judge, and the last model's."""
    unseen = {name for name in evaluation.CONTROLS if before.get(name, {}).get("judge") != judge}
    return unseen | {evaluation.SHIFTED}


def merged(before: Rows, now: Rows) -> Rows:
    """Return the rows of both, those of now where both have one; controls come last."""
    both = before | now
    names = sorted(both, key=lambda name: name in evaluation.CONTROLS)  # keeps the order otherwise
    return {name: both[name] for name in names}


def table(rows: Mapping[str, Mapping[str, Any]], judge: str) -> str:
    """Return the figures as Markdown; what was not measured is left out, other judges marked."""
    lines = [
        [
            name if row.get("judge") == judge else name + OTHERS,
            *(form.format(row[key]) if key in row else "" for key, form in COLUMNS.values()),
        ]
        for name, row in rows.items()
    ]
    return harness.table(["", *COLUMNS], lines)


if __name__ == "__main__":
    conventions.run(main)
