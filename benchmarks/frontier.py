"""What does quality cost, in bytes and in time?

    make bench BENCH_FLAGS=frontier      (or: python benchmarks/frontier.py [--quick])

Quality is read from what is committed, because measuring it takes hours: docs/quality/rows.json
and docs/precisions/rows.json (benchmarks/quality.py and precisions.py make them). Bytes and
microseconds are those of the last run of inference.py on this machine, which make bench makes just
before. `edge` and `edge-finish` have the layers of the model that ships, and so its times.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import harness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUESTION = "frontier"
DOCS = harness.ROOT / "docs"
# What is shown, as docs/quality (first) or docs/precisions call it, and whose speed it has.
POINTS = (
    ("quality", "seed, epoch 100", "seed", "fp32"),
    ("quality", "seed, epoch 150", "seed", "fp32"),
    ("precisions", "seed, fp32", "seed", "fp32"),
    ("precisions", "seed, fp16", "seed", "fp16"),
    ("precisions", "seed, int8", "seed", "int8"),
    ("quality", "edge, seed 0", "shipped", "fp32"),
    ("precisions", "edge-finish, fp32", "shipped", "fp32"),
    ("precisions", "edge-finish, fp16", "shipped", "fp16"),
    ("precisions", "edge-finish, int8", "shipped", "int8"),
)
REAL = "real training images"

INTRODUCTION = """\
Label accuracy and Fréchet distance are those of [quality](../quality.md) and
[precisions](../precisions.md), measured there; bytes, and microseconds of one thread through the
public API, noise included, those of [inference](inference.md), measured here. A row is on the
frontier where none is at least as good in all of accuracy, distance, bytes and both times."""


@click.command()
@click.option("--quick", is_flag=True, help="From the short form of inference.py; no page.")
def main(quick: bool) -> None:
    """Put together, record and write the page."""
    inference = harness.last_record("inference", quick=quick)
    if inference is None or inference["machine"] != harness.machine():
        raise click.ClickException(
            "there are no times of this machine; run benchmarks/inference.py first"
        )
    quality = read(DOCS / "quality" / "rows.json")["rows"]
    known = {"quality": quality, "precisions": read(DOCS / "precisions" / "rows.json")}
    rows = [
        {
            "name": name,
            "label_accuracy": known[source][name]["label_accuracy"],
            "frechet": known[source][name]["frechet"],
            **costs(inference["rows"], network, precision),
        }
        for source, name, network, precision in POINTS
    ]
    for row in rows:
        row["frontier"] = not any(beats(other, row) for other in rows)
    line = harness.record(QUESTION, rows, quick=quick)
    text = f"# Quality against size and time\n\n{INTRODUCTION}\n\n{table(rows)}"
    click.echo(harness.publish(QUESTION, line, text, plot(rows, quality[REAL]["frechet"])))


def read(path: Path) -> dict[str, Any]:
    """Return a committed file of figures."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def costs(rows: list[dict[str, Any]], network: str, precision: str) -> dict[str, Any]:
    """Return bytes, and CPU microseconds an image at batch 1 and at the largest, of our file."""
    mine = [
        row
        for row in rows
        if (row["network"], row["engine"], row["threads"]) == (network, f"ours, {precision}", 1)
    ]
    one, bulk = min(mine, key=lambda r: r["batch"]), max(mine, key=lambda r: r["batch"])
    return {
        "bytes": one["bytes"],
        "one_us": one["cpu_us"],
        "bulk_us": float(f"{bulk['cpu_us'] / bulk['batch']:.4g}"),
    }


def beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether one is at least as good in everything, and better in something."""
    pairs = [(one[key], other[key]) for key in ("frechet", "bytes", "one_us", "bulk_us")]
    pairs.append((-one["label_accuracy"], -other["label_accuracy"]))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    head = ["", "accuracy", "Fréchet", "bytes", "µs for one", "µs in bulk", "frontier"]
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
    return harness.table(head, lines)


def plot(rows: list[dict[str, Any]], real: float) -> "Figure":
    """Return distance against bytes and against time; the real images' own is the floor."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    figure = Figure(figsize=(14, 5), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for place, key, words, unit in zip(
        axes,
        ("bytes", "one_us", "bulk_us"),
        ("kilobytes", "µs for one image", "µs an image in bulk"),
        (1e3, 1, 1),
        strict=True,
    ):
        for number, row in enumerate(rows):
            mark = "o" if row["frontier"] else "x"
            text = f"{row['name']} ({row['label_accuracy']:.2%})"
            place.plot(row[key] / unit, row["frechet"], mark, color=f"C{number}", label=text)
        place.axhline(real, color="gray", linestyle=":", label="real images")
        place.set(xlabel=words, xscale="log", yscale="log")
        place.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        place.xaxis.set_minor_locator(NullLocator())
        place.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        place.grid(alpha=0.3)
    axes[0].set_ylabel("Fréchet distance")
    axes[2].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    main()
