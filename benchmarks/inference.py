"""Which runtime draws the same network fastest?

    make bench-inference      (or: python benchmarks/inference.py [--quick])

The classic network and the one that ships, each in every engine of engines.py, at several batches,
on one thread and on all. Every network and number of threads has a process of its own, within
which the engines take turns. Rivals find their noise ready; ours make it, because a user needs it.
"""

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import harness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUESTION = "inference"
BATCHES, QUICK_BATCHES = (1, 8, 64, 1024), (1, 1024)
ROUNDS, QUICK_ROUNDS = 15, 7
SECONDS, QUICK_SECONDS = 0.02, 0.01
NETWORKS = ("seed", "shipped")
ERROR_IMAGES = 1024
INTRODUCTION = """\
Images a second by network and number of threads; in brackets how many times as fast as onnxruntime
on a plain export of the same network with the same threads, in the same round (medians). On one
thread it is a second of CPU time, which is what the clock shows on an idle machine and what else
runs hardly touches; on all threads, a second of the clock. Pixel error: grey levels of 255 from
torch in float32, mean and most in 1,024 images. Ours make their noise within the time, the others
find it ready."""


@click.command()
@click.option("--quick", is_flag=True, help="Fewer batches and rounds, one thread; no page.")
@click.option("--worker", type=click.Choice(NETWORKS), hidden=True)
@click.option("--threads", type=int, default=1, hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(quick: bool, worker: str | None, threads: int, folder: Path | None) -> None:
    """Measure, record and write the page."""
    if worker is not None and folder is not None:
        click.echo(json.dumps(measure(worker, threads, folder, quick=quick)))
        return
    counts, missing = ([1], {}) if quick else harness.thread_counts()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as exports:  # each network is exported once
        for count in counts:
            for network in NETWORKS:
                found = in_process(network, count, exports, quick=quick)
                rows += found["rows"]
                missing |= found["missing"]
    settings = {"rounds": QUICK_ROUNDS if quick else ROUNDS, "seconds": SECONDS}
    line = harness.record(QUESTION, rows, quick=quick, missing=missing, settings=settings)
    click.echo(harness.publish(QUESTION, line, page(line), plot(line)))


def in_process(network: str, threads: int, folder: str, *, quick: bool) -> dict[str, Any]:
    """Measure a network in a process that has so many CPUs and threads."""
    command = [sys.executable, __file__, "--worker", network, "--threads", str(threads)]
    command += ["--folder", folder]
    limits = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)
    )
    with harness.pinned(threads):
        done = subprocess.run(
            command + ["--quick"] * quick,
            env=os.environ | limits | {"ORT_DISABLE_TELEMETRY": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise click.ClickException(f"{network} on {threads} threads failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(name: str, threads: int, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Time every engine at every batch, in this process."""
    import numpy as np
    import torch
    from engines import BARE, BASE, NEW_SEEDS, OURS, SEED, Engine, engines
    from networks import Bytes, load_networks

    from cgan_runtime.noise import standard_normal

    torch.set_num_threads(threads)
    network = load_networks()[name]
    noise = standard_normal(SEED, 0, ERROR_IMAGES, network.generator.noise_dim)
    label = np.arange(ERROR_IMAGES, dtype=np.int64) % network.generator.classes
    with torch.inference_mode():
        truth = Bytes(network.generator)(torch.from_numpy(noise), torch.from_numpy(label))
    wanted = truth.numpy().astype(np.int16)
    rows, ready, missing = [], [], {}
    for found in engines(network, threads, folder, quick=quick):
        if isinstance(found, Engine):
            ready.append(found)
        else:
            missing[found[0]] = found[1]
    errors = {}
    for engine in ready:
        engine.prepare(ERROR_IMAGES)
        errors[engine.name] = np.abs(engine.draw(noise, label).astype(np.int16) - wanted)
    for batch in QUICK_BATCHES if quick else BATCHES:
        few = noise[:batch], label[:batch]
        for engine in ready:
            engine.prepare(batch)
        timings = harness.interleaved(
            {each.name: partial(each.draw, *few) for each in ready},
            QUICK_ROUNDS if quick else ROUNDS,
            QUICK_SECONDS if quick else SECONDS,
            harness.SETTLE if threads > 1 else 0.0,
        )
        for engine in ready:
            timing = timings[engine.name]
            rows.append(
                {
                    "network": name,
                    "threads": threads,
                    "batch": batch,
                    "engine": engine.name,
                    "bytes": engine.size_bytes,
                    "error_mean": round(float(errors[engine.name].mean()), 3),
                    "error_most": int(errors[engine.name].max()),
                    **timing.facts(timings[BASE]),
                }
            )
            if engine.name in (OURS, NEW_SEEDS):
                over = [a - b for a, b in zip(timing.cpu, timings[BARE].cpu, strict=True)]
                rows[-1]["overhead_us"] = float(f"{sorted(over)[len(over) // 2] * 1e6:.3g}")
    return {"rows": rows, "missing": missing}


def page(line: dict[str, Any]) -> str:
    """Return the page's Markdown."""
    rows = line["rows"]
    text = [
        "# Inference, same weights",
        INTRODUCTION,
    ]
    for threads in sorted({row["threads"] for row in rows}):
        for network in NETWORKS:
            mine = [r for r in rows if r["network"] == network and r["threads"] == threads]
            title = {"seed": "The seed network", "shipped": "The network that ships"}[network]
            text += [f"## {title}, {_threads(threads)}", _table(mine)]
    text += ["## The model that ships, against the seed network", _across(rows)]
    return "\n\n".join(text)


def images_per_second(row: dict[str, Any]) -> float:
    """Of CPU time on one thread, of wall time on several."""
    return float(row["batch"] / row["cpu_us" if row["threads"] == 1 else "wall_us"] * 1e6)


def ratio(row: dict[str, Any]) -> float:
    """To onnxruntime on a plain export, likewise."""
    return float(row["ratio_cpu" if row["threads"] == 1 else "ratio"])


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def _table(rows: list[dict[str, Any]]) -> str:
    batches = sorted({row["batch"] for row in rows})
    cells = {(row["engine"], row["batch"]): row for row in rows}
    head = ["", *(f"batch {batch:,}" for batch in batches), "error, mean", "most", "bytes"]
    lines = []
    for engine in dict.fromkeys(row["engine"] for row in rows):
        first = cells[engine, batches[0]]
        lines.append(
            [
                engine,
                *(
                    f"{images_per_second(cells[engine, batch]):,.0f} "
                    f"({ratio(cells[engine, batch]):.2f})"
                    for batch in batches
                ),
                f"{first['error_mean']:.3f}",
                first["error_most"],
                f"{first['bytes']:,}",
            ]
        )
    return harness.table(head, lines)


def _across(rows: list[dict[str, Any]]) -> str:
    """Compare the shipped model through the public API with the seed network elsewhere."""
    from engines import BASE, NEW_SEEDS, OURS

    keys = ("network", "engine", "threads", "batch")
    found = {tuple(row[key] for key in keys): row for row in rows}
    lines = []
    for threads in sorted({row["threads"] for row in rows}):
        for batch in sorted({row["batch"] for row in rows}):
            for engine in (OURS, NEW_SEEDS):
                ours = found["shipped", engine, threads, batch]
                others = (
                    found.get(("seed", other, threads, batch))
                    for other in (BASE, "LiteRT, int8 (dynamic)")
                )
                cells = (
                    f"{images_per_second(ours) / images_per_second(other):.1f}"
                    if other
                    else "missing"
                    for other in others
                )
                over = f"{ours['overhead_us']:.0f}"
                lines.append([engine.removeprefix("ours, "), threads, f"{batch:,}", *cells, over])
    head = ["", "threads", "batch", "onnxruntime", "LiteRT, int8", "API beyond session.run, µs"]
    words = (
        "How many times as long an image of the seed network takes elsewhere as one of the "
        "shipped model through `ImageGenerator.generate`, noise included, in the same run; and "
        "what that call costs beyond a bare `session.run` of the same file. A call draws the next "
        "images of a seed, or the first of a new one.\n\n"
    )
    return words + harness.table(head, lines)


def plot(line: dict[str, Any]) -> "Figure":
    """Return images a second against batch, a curve an engine."""
    from matplotlib.figure import Figure

    rows = [row for row in line["rows"] if row["threads"] == 1]
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    for axes, network in zip(figure.subplots(1, 2, sharey=True), NETWORKS, strict=True):
        mine = [row for row in rows if row["network"] == network]
        for number, engine in enumerate(dict.fromkeys(row["engine"] for row in mine)):
            points = [row for row in mine if row["engine"] == engine]
            axes.plot(
                [row["batch"] for row in points],
                [images_per_second(row) for row in points],
                "o-" if engine.startswith("our") else ".--",
                color=f"C{number % 10}" if number < 10 else "k",
                label=engine,
            )
        axes.set(title=f"{network}, one thread", xlabel="batch", xscale="log", yscale="log")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("images a second")
    figure.axes[1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    main()
