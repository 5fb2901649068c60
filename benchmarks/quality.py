"""Measure the quality of models and controls, and write the metrics as one table.

    python benchmarks/quality.py 'classic, epoch 200=runs/classic' 'edge, seed 0=runs/edge-0' ...

Measures each NAME=MODEL and the controls with all metrics of `cgan-eval`. Metrics are means over
four image sets, but the classification accuracy score (CAS) is measured on one. Writes rows.json
and table.md into docs/quality/, and sheet.png, confusion.png and nearest.png of the last model.

The metrics depend on the evaluation classifier, and every machine trains a slightly different one.
MNIST's is kept in benchmarks/models, so that metrics of different days and machines are comparable:

    python benchmarks/quality.py --add 'mine=runs/mine'          # adds a row to the table
    python benchmarks/quality.py --add --quick 'mine=runs/mine'  # without CAS

Rows that were measured with another classifier are marked until they are measured again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import harness
import torch

from cgan_export.cli.pictures import write_pictures
from cgan_export.evaluation.datasets import load_evaluation_data
from cgan_export.evaluation.evaluator import Evaluator
from cgan_export.evaluation.image_sources import ImageSource, open_source
from cgan_runtime.cli import runner
from cgan_training.evaluation.classifier import classifier_file_name
from cgan_training.evaluation.controls import CONTROLS, REAL, SHIFTED, make_controls

COLUMNS = {
    "accuracy": ("label_accuracy", "{:.4f}"),
    "worst label": ("worst_label_accuracy", "{:.3f}"),
    "Fréchet": ("frechet", "{:.3f}"),
    "Fréchet by class": ("frechet_by_class", "{:.2f}"),
    "precision": ("precision", "{:.3f}"),
    "recall": ("recall", "{:.3f}"),
    "density": ("density", "{:.2f}"),
    "coverage": ("coverage", "{:.3f}"),
    "CAS": ("cas", "{:.4f}"),
    "high-frequency power": ("high_frequency_ratio", "{:.2f}"),
    "memorized": ("memorized", "{:.1%}"),
}
OTHER_CLASSIFIER = " †"  # marks the names of rows that another classifier measured
Rows = dict[str, dict[str, Any]]  # rows by name: metrics, deviations, repeats, classifier


@click.command()
@click.argument("models", nargs=-1, required=True, callback=harness.named_paths)
@click.option("--data-dir", type=click.Path(path_type=Path), default="data", envvar="CGAN_DATA_DIR")
@click.option("--dataset", default="mnist", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="docs/quality")
@click.option("--cache-dir", type=click.Path(path_type=Path), default=harness.MODELS)
@click.option("--repeats", type=click.IntRange(1), default=harness.IMAGE_SETS, show_default=True)
@click.option("--threads", type=click.IntRange(1))
@click.option("--add", is_flag=True, help="Keep the existing rows.")
@click.option("--quick", is_flag=True, help="Leave out CAS, which takes minutes.")
@click.option("--real-only", is_flag=True, help="Measure only one control, real training images.")
def main(
    models: dict[str, Path],
    data_dir: Path,
    dataset: str,
    output: Path,
    cache_dir: Path,
    repeats: int,
    threads: int | None,
    add: bool,
    quick: bool,
    real_only: bool,
) -> None:
    """Measure the models, given as NAME=MODEL, and write the table."""
    if threads is not None:
        torch.set_num_threads(threads)
    sources = {name: replace(open_source(path), name=name) for name, path in models.items()}
    first, last = next(iter(sources.values())), next(reversed(sources.values()))
    evaluator = Evaluator(load_evaluation_data(first, dataset, data_dir), cache_dir)
    classifier_path = cache_dir / classifier_file_name(evaluator.train)
    classifier = hashlib.sha256(classifier_path.read_bytes()).hexdigest()[:16]
    existing: Rows = json.loads((output / "rows.json").read_text("utf-8"))["rows"] if add else {}
    wanted = controls_to_measure(existing, classifier) & ({REAL} if real_only else set(CONTROLS))
    for name, generate in make_controls(evaluator.train, last.generate).items():
        if name in wanted:
            sources[name] = ImageSource(name, last.dataset, last.class_names, last.shape, generate)
    evaluations = {
        name: evaluator.evaluate(source, quick=quick, repeats=repeats)
        for name, source in sources.items()
    }
    rows: Rows = {
        name: each.metrics
        | {"deviations": each.deviations, "repeats": repeats, "classifier": classifier}
        for name, each in evaluations.items()
    }
    output.mkdir(parents=True, exist_ok=True)
    accuracy = {"classifier_accuracy": evaluator.classifier_accuracy}
    harness.append_record("quality", accuracy | {"rows": rows})
    rows = merge_rows(existing, rows)
    result = accuracy | {"classifier": classifier, "rows": rows}
    (output / "rows.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    text = table(rows, classifier)
    (output / "table.md").write_text(text)
    click.echo(text)
    write_pictures(evaluations[last.name], last, evaluator, output)


def controls_to_measure(existing: Rows, classifier: str) -> set[str]:
    """Return SHIFTED, which depends on a model, and controls not measured with the classifier."""
    return {SHIFTED} | {
        name for name in CONTROLS if existing.get(name, {}).get("classifier") != classifier
    }


def merge_rows(existing: Rows, new: Rows) -> Rows:
    """Return all rows, controls last. New rows replace existing ones of the same name."""
    merged = existing | new
    names = sorted(merged, key=lambda name: name in CONTROLS)  # sorted() keeps the order otherwise
    return {name: merged[name] for name in names}


def table(rows: Mapping[str, Mapping[str, Any]], classifier: str) -> str:
    """Return the metrics as Markdown, with rows of other classifiers marked.

    A column is shown if every row has its metric, or if it is CAS, which --quick omits.
    """
    columns = {
        title: (key, form)
        for title, (key, form) in COLUMNS.items()
        if key == "cas" or all(key in row for row in rows.values())
    }
    lines = [
        [
            name if row.get("classifier") == classifier else name + OTHER_CLASSIFIER,
            *(
                "" if row.get(key) is None else form.format(row[key])
                for key, form in columns.values()
            ),
        ]
        for name, row in rows.items()
    ]
    return harness.table(["", *columns], lines)


if __name__ == "__main__":
    runner.run(main)
