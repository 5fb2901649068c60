"""The report that `cgan-export` prints."""

from collections.abc import Sequence
from typing import Any

from cgan_export.cli.table import format_table
from cgan_export.export import ExportReport
from cgan_runtime.diagnostics.speed import Speed
from cgan_runtime.errors import printable

NO_VALUE = "-"  # in all columns, it hides the row
NOT_MEASURED = "see --evaluate"
QUALITY_ROWS = (  # the images of the evaluation are others than those of the gate
    ("label accuracy (evaluation)", "label_accuracy", ".2%"),
    ("Fréchet distance", "frechet", ".3f"),
    ("recall", "recall", ".3f"),
)


def report_values(report: ExportReport, speed: Speed) -> dict[str, Any]:
    """Return the report and the file's speed on one thread as plain values for --json."""
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
            "result": "passed" if gate.proven else "undecided",
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
    rows = [[title, *(column[title] for column in columns)] for title in columns[0]]
    table = format_table([row for row in rows if set(row[1:]) != {NO_VALUE}])
    images = files[0]["images_compared"]
    return (
        f"{table}\nPixel errors: scale 0 to 255, {images:,} images. "
        "Speed: one CPU thread, including noise generation."
    )


def _column(values: dict[str, Any]) -> dict[str, str]:
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
            title: f"{quality[key]:{form}}" if key in quality else NOT_MEASURED
            for title, key, form in QUALITY_ROWS
        },
        "accuracy of the classifier": f"{classifier_accuracy:.2%}"
        if classifier_accuracy
        else NO_VALUE,
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


def _gate_rows(gate: dict[str, Any] | None) -> dict[str, str]:
    titles = "gate: pairs of images", "gate: trained network", "gate: this file"
    if gate is None:
        return {"quality gate": "not run", **dict.fromkeys(titles, NO_VALUE)}
    cells = (
        f"{gate['images']:,}",
        f"{gate['trained_label_accuracy']:.2%}",
        f"{gate['label_accuracy']:.2%}",
    )
    change = f"{gate['label_accuracy_change'] * 100:+.2f} points"
    return {
        "quality gate": f"{gate['result']} ({change})",
        **dict(zip(titles, cells, strict=True)),
    }
