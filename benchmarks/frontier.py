"""Quality against file size and speed: which models are on the Pareto frontier?

    make bench BENCH_FLAGS=frontier      (or: python benchmarks/frontier.py [--quick])

Quality is read from docs/quality/rows.json and docs/precisions/rows.json, which quality.py and
precisions.py wrote, because measuring it takes hours. Bytes and microseconds come from the last run
of inference.py on this machine; `make bench` without BENCH_FLAGS runs it first. `edge` and
`edge-finish` have the same layers as the shipped model, so its bytes and timings apply to them.
"""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import harness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BENCHMARK = "frontier"
DOCS = harness.ROOT / "docs"


class Point(NamedTuple):
    """A model, and the measurements that apply to it."""

    source: str  # folder of docs/ whose rows.json holds the metrics
    name: str  # name of the row in rows.json
    network: str  # network of inference.py that has the same layers
    precision: str


POINTS = (
    Point("quality", "classic, epoch 100", "classic", "fp32"),
    Point("quality", "classic, epoch 150", "classic", "fp32"),
    Point("precisions", "classic, fp32", "classic", "fp32"),
    Point("precisions", "classic, fp16", "classic", "fp16"),
    Point("precisions", "classic, int8", "classic", "int8"),
    Point("quality", "edge, seed 0", "shipped", "fp32"),
    Point("precisions", "edge-finish, fp32", "shipped", "fp32"),
    Point("precisions", "edge-finish, fp16", "shipped", "fp16"),
    Point("precisions", "edge-finish, int8", "shipped", "int8"),
)
REAL = "real training images"

INTRODUCTION = """\
Label accuracy and Fréchet distance come from [quality](../quality.md) and
[precisions](../precisions.md). Bytes and microseconds come from [inference](inference.md): they are
measured on one thread through the public API, including noise generation, with files that have the
same layers. A row is on the Pareto frontier if no other row is at least as good in accuracy,
distance, bytes and both times, and better in one of them."""


@click.command()
@click.option("--quick", is_flag=True, help="Use the quick run of inference.py; write no page.")
def main(quick: bool) -> None:
    """Combine the measurements, record them and write the page."""
    inference = harness.last_inference(quick=quick)
    quality = {source: quality_rows(source) for source in ("quality", "precisions")}
    rows = [
        {
            "name": point.name,
            "label_accuracy": quality[point.source][point.name]["label_accuracy"],
            "frechet": quality[point.source][point.name]["frechet"],
            **costs(inference["rows"], point.network, point.precision),
        }
        for point in POINTS
    ]
    for row in rows:
        row["frontier"] = not any(dominates(other, row) for other in rows)
    record = harness.append_record(BENCHMARK, rows, quick=quick)
    click.echo(harness.publish(BENCHMARK, record, page(rows), plot(rows)))


def quality_rows(source: str) -> dict[str, Any]:
    """Return the committed metrics of docs/quality or docs/precisions by name."""
    content = json.loads((DOCS / source / "rows.json").read_text(encoding="utf-8"))
    rows: dict[str, Any] = content.get("rows", content)
    return rows


def costs(rows: list[dict[str, Any]], network: str, precision: str) -> dict[str, Any]:
    """Return the file size, and CPU µs per image at the smallest and the largest batch size."""
    key = (network, f"ours, {precision}", 1)
    ours = [row for row in rows if (row["network"], row["engine"], row["threads"]) == key]
    one, bulk = min(ours, key=lambda r: r["batch"]), max(ours, key=lambda r: r["batch"])
    return {
        "bytes": one["bytes"],
        "one_us": one["cpu_us"],
        "bulk_us": float(f"{bulk['cpu_us'] / bulk['batch']:.4g}"),
    }


def dominates(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether one row is at least as good in all values, and better in one of them."""
    pairs = [(one[key], other[key]) for key in ("frechet", "bytes", "one_us", "bulk_us")]
    pairs.append((-one["label_accuracy"], -other["label_accuracy"]))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page's Markdown."""
    head = [
        "model",
        "accuracy",
        "Fréchet",
        "bytes",
        "µs, one image",
        "µs per image, bulk",
        "frontier",
    ]
    lines = [
        [
            row["name"],
            f"{row['label_accuracy']:.4f}",
            f"{row['frechet']:.3f}",
            f"{row['bytes']:,}",
            f"{row['one_us']:.1f}",
            f"{row['bulk_us']:.2f}",
            "yes" if row["frontier"] else "",
        ]
        for row in rows
    ]
    return f"# Quality against size and time\n\n{INTRODUCTION}\n\n{harness.table(head, lines)}"


def plot(rows: list[dict[str, Any]]) -> "Figure":
    """Return a figure of distance against bytes and times, with the real images' distance."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    figure = Figure(figsize=(14, 5), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, key, label, unit in zip(
        panels,
        ("bytes", "one_us", "bulk_us"),
        ("kilobytes", "µs for one image", "µs per image in bulk"),
        (1e3, 1, 1),
        strict=True,
    ):
        for number, row in enumerate(rows):
            marker = "o" if row["frontier"] else "x"
            text = f"{row['name']} ({row['label_accuracy']:.2%})"
            axes.plot(row[key] / unit, row["frechet"], marker, color=f"C{number}", label=text)
        floor = quality_rows("quality")[REAL]["frechet"]
        axes.axhline(floor, color="gray", linestyle=":", label="real images")
        axes.set(xlabel=label, xscale="log", yscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("Fréchet distance")
    panels[2].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    main()
