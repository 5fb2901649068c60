"""What `cgan-export` prints of the files that it made."""

from collections.abc import Sequence
from typing import Any

from cgan_export.export import Report
from cgan_runtime import ImageGenerator
from cgan_runtime.cli.conventions import printable
from cgan_runtime.diagnostics.speed import measure_speed


def facts_of(report: Report) -> dict[str, Any]:
    """Return a report as plain values, with the speed of its file on one thread."""
    judged = report.judgement
    with ImageGenerator(report.path, provider="cpu", threads=1) as generator:
        speed = measure_speed(generator)
    return {
        "path": str(report.path),
        "precision": report.precision,
        "bytes": report.size_bytes,
        "parameters": report.parameters,
        "nodes": report.nodes,
        "opset": report.opset,
        "largest_difference": report.largest_difference,
        "mean_difference": round(report.mean_difference, 4),
        "images_compared": report.images_compared,
        "label_accuracy": report.quality.get("label_accuracy", judged and judged.label_accuracy),
        "label_accuracy_change": judged and judged.change,
        "quality": dict(report.quality),
        "latency_microseconds": round(speed.latency * 1e6, 1),
        "images_per_second": round(speed.throughput),
        "seconds": round(report.seconds, 1),
    }


def as_table(files: Sequence[dict[str, Any]]) -> str:
    """Return the facts of files as lines, a file a column."""
    columns = [_column(facts) for facts in files]
    head = max(map(len, columns[0]))
    widths = [max(map(len, column.values())) for column in columns]
    rows = [
        "  ".join(
            [name.ljust(head), *(c[name].ljust(w) for c, w in zip(columns, widths, strict=True))]
        ).rstrip()
        for name in columns[0]
    ]
    images = files[0]["images_compared"]
    legend = (
        f"Off torch: grey levels of 255, in {images:,} images. Speed: one thread, noise included."
    )
    return "\n".join([*rows, legend])


def _column(facts: dict[str, Any]) -> dict[str, str]:
    quality, change = facts["quality"], facts["label_accuracy_change"]
    accuracy = facts["label_accuracy"]
    measured = {
        "Fréchet distance": ("frechet", "{:.3f}"),
        "recall": ("recall", "{:.3f}"),
    }
    return {
        "file": printable(facts["path"]),
        "precision": facts["precision"],
        "bytes": f"{facts['bytes']:,}",
        "parameters": f"{facts['parameters']:,}",
        "nodes": str(facts["nodes"]),
        "opset": str(facts["opset"]),
        "off torch, most": str(facts["largest_difference"]),
        "off torch, mean": f"{facts['mean_difference']:.3f}",
        "label accuracy": "see --judge" if accuracy is None else f"{accuracy:.2%}",
        "gate": "none" if change is None else f"passed, {change * 100:+.2f} points",
        **{
            name: words.format(quality[key]) if key in quality else "see --judge"
            for name, (key, words) in measured.items()
        },
        "one image": f"{facts['latency_microseconds']:.0f} µs",
        "in bulk": f"{facts['images_per_second']:,} images/s",
        "export took": f"{facts['seconds']} s",
        **({"for Triton": printable(facts["triton"])} if "triton" in facts else {}),
    }
