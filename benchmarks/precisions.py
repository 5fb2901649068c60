"""What does each precision cost, and what does it bring?

    python benchmarks/precisions.py 'seed=runs/seed' 'edge=runs/edge-0'

Exports each NAME=MODEL in every precision, measures the files with the judge (means of four sets of
images), and times them side by side on one thread, in CPU time: the network alone, with noise that
is at hand. Ratios are to the first model in fp32. Writes docs/precisions/: rows.json, table.md.
"""

import json
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import click
import harness
import numpy as np
import onnxruntime

from cgan_export.evaluation import quality_gate
from cgan_export.evaluation.evaluator import Evaluator
from cgan_export.evaluation.image_sources import open_onnx_source
from cgan_export.export import TOLERANCES, Report, export_model
from cgan_runtime import ImageGenerator
from cgan_runtime.cli import conventions
from cgan_runtime.model_file.contract import IMAGE, LABEL, NOISE
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import Model

BATCHES = (1, 1024)
ROUNDS = 21
SECONDS = 0.02  # a round of one file at least


@click.command()
@click.argument("models", nargs=-1, required=True, callback=harness.named_paths)
@click.option("--data-dir", type=click.Path(path_type=Path), default="data", envvar="CGAN_DATA_DIR")
@click.option("--dataset", default="mnist", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="docs/precisions")
@click.option("--cache-dir", type=click.Path(path_type=Path), default=harness.MODELS)
def main(
    models: dict[str, Path], data_dir: Path, dataset: str, output: Path, cache_dir: Path
) -> None:
    """Export, measure and time the models, named NAME=MODEL."""
    examiner = Evaluator(dataset, data_dir, cache_dir, lambda line: click.echo(line, err=True))
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for name, source in models.items():
            for precision in TOLERANCES:

                def gate(
                    path: Path, model: Model, source: Path = source
                ) -> quality_gate.GateResult:
                    return quality_gate.compare_accuracy(
                        path,
                        model,
                        model_path=source,
                        data_dir=data_dir,
                        cache_dir=cache_dir,
                        dataset=dataset,
                    )

                key = f"{name}, {precision}"
                files[key] = Path(folder) / f"{len(files)}.onnx"
                report = export_model(source, files[key], precision=precision, gate=gate)
                evaluation = examiner.evaluate(
                    open_onnx_source(files[key]), quick=True, draws=harness.DRAWS
                )
                rows[key] = facts(report) | evaluation.figures
        for batch in BATCHES:
            timings = timed(files, batch)
            base = next(iter(timings.values()))
            for key, timing in timings.items():
                rows[key][f"microseconds_{batch}"] = timing.seconds(threads=1) / batch * 1e6
                rows[key][f"ratio_{batch}"] = timing.ratio_cpu(base)
    output.mkdir(parents=True, exist_ok=True)
    (output / "rows.json").write_text(json.dumps(rows, indent=2) + "\n")
    (output / "table.md").write_text(table(rows))
    harness.record("precisions", rows, settings={"rounds": ROUNDS, "seconds": SECONDS})
    click.echo(table(rows))


def facts(report: Report) -> dict[str, Any]:
    return {
        "bytes": report.size_bytes,
        "nodes": report.nodes,
        "largest": report.largest_difference,
        "mean": report.mean_difference,
        "change": report.judgement.change if report.judgement else None,
    }


def timed(files: dict[str, Path], batch: int) -> dict[str, harness.Timing]:
    """Time calls of the networks alone on one thread, with noise that is at hand."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    calls = {}
    for key, path in files.items():
        with ImageGenerator(path, provider="cpu") as generator:
            info = generator.info
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        noise = standard_normal(0, 0, batch, info.noise_dim)
        feeds = {NOISE: noise, LABEL: np.arange(batch) % info.classes}
        calls[key] = partial(session.run, [IMAGE], feeds)
    with harness.pinned(1):
        return harness.interleaved(calls, ROUNDS, SECONDS)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the measured files as Markdown."""
    head = ["", "bytes", "nodes", "pixel error, most", "mean", "label accuracy", "Fréchet"]
    head += ["by class", "recall", "µs, batch 1", "ratio", "µs an image, batch 1024", "ratio"]
    lines = [
        [
            key,
            f"{row['bytes']:,}",
            row["nodes"],
            row["largest"],
            f"{row['mean']:.3f}",
            f"{row['label_accuracy']:.4f}",
            f"{row['frechet']:.3f}",
            f"{row['frechet_by_class']:.2f}",
            f"{row['recall']:.3f}",
            f"{row['microseconds_1']:.1f}",
            f"{row['ratio_1']:.1f}",
            f"{row['microseconds_1024']:.2f}",
            f"{row['ratio_1024']:.1f}",
        ]
        for key, row in rows.items()
    ]
    return harness.table(head, lines)


if __name__ == "__main__":
    conventions.run(main)
