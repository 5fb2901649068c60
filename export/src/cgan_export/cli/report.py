"""The report that `cgan-export` prints."""

from collections.abc import Sequence
from typing import Any

from cgan_export.cli.table import format_table
from cgan_export.export import ExportReport
from cgan_runtime.diagnostics.speed import Speed
from cgan_runtime.errors import printable

NOT_MEASURED = "see --evaluate"


def report_values(report: ExportReport, speed: Speed) -> dict[str, Any]:
    """Return the report and the file's speed on one thread as plain values for --json."""
    gate = report.gate_result
    return {
        "path": str(report.path),
        "precision": report.precision,
        "bit_exact": report.bit_exact,
        "bytes": report.size_bytes,
        "parameters": report.parameters,
        "nodes": report.nodes,
        "opset": report.opset,
        "largest_difference": report.max_pixel_error,
        "mean_difference": round(report.mean_pixel_error, 4),
        "images_compared": report.images_compared,
        "label_accuracy": report.quality.get("label_accuracy", gate and gate.label_accuracy),
        "label_accuracy_change": gate and gate.change,
        "quality": dict(report.quality),
        "latency_microseconds": round(speed.latency * 1e6, 1),
        "images_per_second": round(speed.throughput),
        "seconds": round(report.seconds, 1),
    }


def report_table(files: Sequence[dict[str, Any]]) -> str:
    """Format the values of exported files as a table, one file per column."""
    columns = [_column(values) for values in files]
    table = format_table([[title, *(c[title] for c in columns)] for title in columns[0]])
    images = files[0]["images_compared"]
    return (
        f"{table}\nPixel errors: scale 0 to 255, {images:,} images. "
        "Speed: one CPU thread, including noise generation."
    )


def _column(values: dict[str, Any]) -> dict[str, str]:
    quality, change = values["quality"], values["label_accuracy_change"]
    accuracy = values["label_accuracy"]
    return {
        "file": printable(values["path"]),
        "precision": values["precision"],
        "bytes": f"{values['bytes']:,}",
        "parameters": f"{values['parameters']:,}",
        "nodes": str(values["nodes"]),
        "opset": str(values["opset"]),
        "max pixel error vs PyTorch": str(values["largest_difference"]),
        "mean pixel error vs PyTorch": f"{values['mean_difference']:.3f}",
        "quality gate": "not run" if change is None else f"passed ({change * 100:+.2f} points)",
        "label accuracy": NOT_MEASURED if accuracy is None else f"{accuracy:.2%}",
        **{
            title: f"{quality[key]:.3f}" if key in quality else NOT_MEASURED
            for title, key in (("Fréchet distance", "frechet"), ("recall", "recall"))
        },
        "latency (1 image)": f"{values['latency_microseconds']:.0f} µs",
        "throughput": f"{values['images_per_second']:,} images/s",
        "export time": f"{values['seconds']} s",
        **(_c_rows(values) if "c" in values else {}),
        **({"Triton model": printable(values["triton"])} if "triton" in values else {}),
    }


def _c_rows(values: dict[str, Any]) -> dict[str, str]:
    """Return the rows of --c; files of other precisions have none."""
    return {
        "C source": printable(values["c"] or "none"),
        "C constants": f"{values.get('c_constant_bytes', 0):,} bytes",
        "C stack, at most": f"{values.get('c_stack_bytes', 0):,} bytes",
    }
