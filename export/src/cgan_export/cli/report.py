"""The report that `cgan-export` prints."""

from collections.abc import Sequence
from typing import Any

from cgan_export.cli.table import format_table
from cgan_export.evaluation.metrics import METRICS
from cgan_export.export import ExportReport
from cgan_runtime.diagnostics.speed import Speed
from cgan_runtime.errors import printable

NOT_MEASURED = "see --evaluate"
# Metrics of --evaluate by row title. The quality gate measures other images, in its own rows.
QUALITY_ROWS = {
    "label accuracy (evaluation)": "label_accuracy",
    "Fréchet distance": "frechet",
    "recall": "recall",
}


def report_values(report: ExportReport, speed: Speed) -> dict[str, Any]:
    """Return the report and the file's speed on one thread as a dict for --json."""
    gate = report.gate_result
    return {
        "path": str(report.path),
        "precision": report.precision,
        "bit_exact": report.bit_exact,
        "size_bytes": report.size_bytes,
        "parameters": report.parameters,
        "nodes": report.nodes,
        "opset": report.opset,
        "max_pixel_error": report.max_pixel_error,
        "mean_pixel_error": round(report.mean_pixel_error, 4),
        "images_compared": report.images_compared,
        "quality_gate": gate
        and {
            "result": gate.decision,
            "images": gate.images,
            "trained_label_accuracy": gate.trained_label_accuracy,
            "label_accuracy": gate.label_accuracy,
            "label_accuracy_change": gate.change,
            "classifier_accuracy": gate.classifier_accuracy,
        },
        "quality": dict(report.quality),
        "latency_microseconds": round(speed.latency * 1e6, 1),
        "images_per_second": round(speed.throughput),
        "seconds": round(report.seconds, 1),
    }


def report_table(files: Sequence[dict[str, Any]]) -> str:
    """Format the values of exported files as a table, one file per column."""
    columns = [_column(values) for values in files]
    rows = []
    for title in columns[0]:
        cells = [column[title] for column in columns]
        if any(cells):
            rows.append([title, *(cell or "-" for cell in cells)])
    table, images = format_table(rows), files[0]["images_compared"]
    return (
        f"{table}\nPixel errors: scale 0 to 255, {images:,} images. "
        "Speed: one CPU thread, including noise generation."
    )


def _column(values: dict[str, Any]) -> dict[str, str | None]:
    """Return the cells of a file by title; None means that the file has no such value."""
    quality, gate = values["quality"], values["quality_gate"]
    classifier_accuracy = gate and gate["classifier_accuracy"]
    classifier_accuracy = classifier_accuracy or quality.get("classifier_accuracy")
    return {
        "file": printable(values["path"]),
        "precision": values["precision"],
        "size (bytes)": f"{values['size_bytes']:,}",
        "parameters": f"{values['parameters']:,}",
        "nodes": str(values["nodes"]),
        "opset": str(values["opset"]),
        "max pixel error vs PyTorch": str(values["max_pixel_error"]),
        "mean pixel error vs PyTorch": f"{values['mean_pixel_error']:.3f}",
        **_gate_rows(gate),
        **{
            title: f"{quality[key]:{METRICS[key].format}}" if key in quality else NOT_MEASURED
            for title, key in QUALITY_ROWS.items()
        },
        METRICS["classifier_accuracy"].title: (
            f"{classifier_accuracy:.2%}" if classifier_accuracy else None
        ),
        "latency (1 image)": f"{values['latency_microseconds']:.0f} µs",
        "throughput": f"{values['images_per_second']:,} images/s",
        "export time": f"{values['seconds']} s",
        **(_c_rows(values) if "c" in values else {}),
        **({"Triton model": printable(values["triton"])} if "triton" in values else {}),
    }


def _c_rows(values: dict[str, Any]) -> dict[str, str]:
    """Return the cells of --c, which writes C source for int8 only."""
    return {
        "C source": printable(values["c"] or "none"),
        "C constants": f"{values.get('c_constant_bytes', 0):,} bytes",
        "C stack, at most": f"{values.get('c_stack_bytes', 0):,} bytes",
    }


def _gate_rows(gate: dict[str, Any] | None) -> dict[str, str | None]:
    result, images, trained, exported = "not run", None, None, None
    if gate is not None:
        result = f"{gate['result']} ({gate['label_accuracy_change'] * 100:+.2f} points)"
        images = f"{gate['images']:,}"
        trained = f"{gate['trained_label_accuracy']:.2%}"
        exported = f"{gate['label_accuracy']:.2%}"
    return {
        "quality gate": result,
        "gate: pairs of images": images,
        "gate: label accuracy, PyTorch": trained,
        "gate: label accuracy, this file": exported,
    }
