"""Precisions: what does fp32, fp16 or int8 cost and gain?

    python benchmarks/precisions.py 'classic=runs/classic' 'edge=runs/edge-0'

Exports each NAME=MODEL in every precision, measures the files with the evaluation classifier (means
over four image sets), and times them in interleaved rounds on one thread. The timings are CPU times
of the network alone, without noise generation. Speedups are over the first model in fp32. Writes
rows.json and table.md into docs/precisions/.
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

from cgan_export.evaluation.datasets import load_evaluation_data
from cgan_export.evaluation.evaluator import Evaluator
from cgan_export.evaluation.image_sources import open_onnx_source, open_source
from cgan_export.evaluation.quality_gate import compare_accuracy
from cgan_export.export import export_model
from cgan_export.verification.tolerances import TOLERANCES
from cgan_runtime import ImageGenerator
from cgan_runtime.cli import runner
from cgan_runtime.model_file.contract import IMAGE, LABEL, NOISE
from cgan_runtime.noise import standard_normal

BATCHES = (1, 1024)
ROUNDS = 21


@click.command()
@click.argument("models", nargs=-1, required=True, callback=harness.named_paths)
@click.option("--data-dir", type=click.Path(path_type=Path), default="data", envvar="CGAN_DATA_DIR")
@click.option("--dataset", default="mnist", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="docs/precisions")
@click.option("--cache-dir", type=click.Path(path_type=Path), default=harness.MODELS)
def main(
    models: dict[str, Path], data_dir: Path, dataset: str, output: Path, cache_dir: Path
) -> None:
    """Export, measure and time the models, given as NAME=MODEL."""
    first = open_source(next(iter(models.values())))
    data = load_evaluation_data(first, dataset, data_dir)
    evaluator = Evaluator(data, cache_dir)
    gate = partial(compare_accuracy, data=data.train, cache_dir=cache_dir)
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for name, model in models.items():
            for precision in TOLERANCES:
                key = f"{name}, {precision}"
                path = files[key] = Path(folder) / f"{len(files)}.onnx"
                report = export_model(model, path, precision=precision, gate=gate)
                source = open_onnx_source(path)
                evaluation = evaluator.evaluate(source, quick=True, repeats=harness.IMAGE_SETS)
                rows[key] = {
                    "bytes": report.size_bytes,
                    "nodes": report.nodes,
                    "error_max": report.max_pixel_error,
                    "error_mean": report.mean_pixel_error,
                    "change": report.gate_result.change if report.gate_result else None,
                    **evaluation.metrics,
                }
        for batch in BATCHES:
            timings = time_files(files, batch)
            base = next(iter(timings.values()))
            for key, timing in timings.items():
                summary = timing.summary(base)
                rows[key][f"microseconds_{batch}"] = summary["cpu_us"] / batch
                rows[key][f"ratio_{batch}"] = summary["ratio_cpu"]
    output.mkdir(parents=True, exist_ok=True)
    (output / "rows.json").write_text(json.dumps(rows, indent=2) + "\n")
    (output / "table.md").write_text(table(rows))
    settings = {"rounds": ROUNDS, "seconds": harness.MEASUREMENT_SECONDS}
    harness.append_record("precisions", rows, settings=settings)
    click.echo(table(rows))


def time_files(files: dict[str, Path], batch: int) -> dict[str, harness.Timing]:
    """Time the networks alone on one thread, without noise generation."""
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
    with harness.pinned_cpus(1):
        return harness.time_interleaved(calls, ROUNDS, harness.MEASUREMENT_SECONDS)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the table of the measured files as Markdown."""
    head = ["", "bytes", "nodes", "max pixel error", "mean pixel error", "label accuracy"]
    head += ["Fréchet", "Fréchet by class", "recall", "µs, batch 1", "speedup, batch 1"]
    head += ["µs per image, batch 1024", "speedup, batch 1024"]
    lines = [
        [
            key,
            f"{row['bytes']:,}",
            row["nodes"],
            row["error_max"],
            f"{row['error_mean']:.3f}",
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
    runner.run(main)
