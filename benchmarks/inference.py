"""Inference: which runtime runs the same network fastest?

    make bench BENCH_FLAGS=inference      (or: python benchmarks/inference.py [--quick])

Runs the classic network and the shipped one in every engine of engines.py, at several batch sizes,
on one thread and on all. Each network and thread count has its own process, in which the engines
are timed in interleaved rounds. Other engines get ready-made noise; ours generate it, because a
user needs it.
"""

import json
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

BENCHMARK = "inference"
BATCHES, QUICK_BATCHES = (1, 8, 64, 1024), (1, 1024)
ROUNDS, QUICK_ROUNDS = 15, 7
SECONDS, QUICK_SECONDS = 0.02, 0.01
NETWORKS = {"classic": "The classic network", "shipped": "The shipped network"}
ERROR_IMAGES = 1024
INTRODUCTION = """\
Images per second by network and number of threads. The number in parentheses is the speedup over
onnxruntime on a plain export of the same network with the same threads (median of the per-round
ratios). On one thread, the time is CPU time, which other programs hardly affect and which equals
the wall time on an idle machine. On all threads, it is wall time. Pixel errors are measured against
PyTorch in float32 over 1,024 images, on the scale 0-255. Our timings include noise generation; the
others' do not."""


@click.command()
@click.option("--quick", is_flag=True, help="Use fewer batch sizes and rounds, and one thread.")
@click.option("--worker", type=click.Choice(list(NETWORKS)), hidden=True)
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
                result = measure_in_process(network, count, exports, quick=quick)
                rows += result["rows"]
                missing |= result["missing"]
    settings = {"rounds": QUICK_ROUNDS if quick else ROUNDS, "seconds": SECONDS}
    line = harness.record(BENCHMARK, rows, quick=quick, missing=missing, settings=settings)
    click.echo(harness.publish(BENCHMARK, line, page(rows), plot(rows)))


def measure_in_process(network: str, threads: int, folder: str, *, quick: bool) -> dict[str, Any]:
    """Measure a network in a process restricted to this number of CPUs and threads."""
    command = [sys.executable, __file__, "--worker", network, "--threads", str(threads)]
    command += ["--folder", folder]
    with harness.pinned_cpus(threads):
        done = subprocess.run(
            command + ["--quick"] * quick,
            env=harness.environment_with_threads(threads),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise click.ClickException(f"{network} on {threads} threads failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(name: str, threads: int, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Time every engine at every batch size in this process."""
    import numpy as np
    import torch
    from engines import BASE, NEW_SEEDS, OURS, SEED, SESSION_ONLY, Engine, load_engines
    from networks import ImageBytes, load_networks

    from cgan_runtime.noise import standard_normal

    torch.set_num_threads(threads)
    network = load_networks()[name]
    noise = standard_normal(SEED, 0, ERROR_IMAGES, network.generator.noise_dim)
    label = np.arange(ERROR_IMAGES, dtype=np.int64) % network.generator.classes
    with torch.inference_mode():
        images = ImageBytes(network.generator)(torch.from_numpy(noise), torch.from_numpy(label))
    expected = images.numpy().astype(np.int16)
    rows, engines, missing = [], [], {}
    for loaded in load_engines(network, threads, folder, quick=quick):
        if isinstance(loaded, Engine):
            engines.append(loaded)
        else:
            missing[loaded[0]] = loaded[1]
    errors = {}
    for engine in engines:
        engine.prepare(ERROR_IMAGES)
        errors[engine.name] = np.abs(engine.generate(noise, label).astype(np.int16) - expected)
    for batch in QUICK_BATCHES if quick else BATCHES:
        inputs = noise[:batch], label[:batch]
        for engine in engines:
            engine.prepare(batch)
        timings = harness.time_interleaved(
            {each.name: partial(each.generate, *inputs) for each in engines},
            QUICK_ROUNDS if quick else ROUNDS,
            QUICK_SECONDS if quick else SECONDS,
            harness.SETTLE_SECONDS if threads > 1 else 0.0,
        )
        for engine in engines:
            timing = timings[engine.name]
            rows.append(
                {
                    "network": name,
                    "threads": threads,
                    "batch": batch,
                    "engine": engine.name,
                    "bytes": engine.size_bytes,
                    "error_mean": round(float(errors[engine.name].mean()), 3),
                    "error_max": int(errors[engine.name].max()),
                    **timing.summary(timings[BASE]),
                }
            )
            if engine.name in (OURS, NEW_SEEDS):
                session = timings[SESSION_ONLY].cpu
                overhead = sorted(a - b for a, b in zip(timing.cpu, session, strict=True))
                rows[-1]["overhead_us"] = float(f"{overhead[len(overhead) // 2] * 1e6:.3g}")
    return {"rows": rows, "missing": missing}


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page's Markdown."""
    size = next(
        r["bytes"] for r in rows if (r["network"], r["engine"]) == ("shipped", "ours, int8")
    )
    model = f"The shipped network is the one that shipped on that day, as a file of {size:,} bytes."
    text = ["# Inference with the same weights", f"{INTRODUCTION}\n\n{model}"]
    for threads in sorted({row["threads"] for row in rows}):
        for network, title in NETWORKS.items():
            selected = [r for r in rows if r["network"] == network and r["threads"] == threads]
            count = "one thread" if threads == 1 else f"{threads} threads"
            text += [f"## {title}, {count}", engine_table(selected)]
    text += ["## The shipped model compared with the classic network", model_comparison(rows)]
    return "\n\n".join(text)


def images_per_second(row: dict[str, Any]) -> float:
    """Return images per second of CPU time on one thread, of wall time on several."""
    return float(row["batch"] / row["cpu_us" if row["threads"] == 1 else "wall_us"] * 1e6)


def speedup(row: dict[str, Any]) -> float:
    """Return the speedup over onnxruntime on a plain export, in the same kind of time."""
    return float(row["ratio_cpu" if row["threads"] == 1 else "ratio"])


def engine_table(rows: list[dict[str, Any]]) -> str:
    """Return the engines of one network and thread count as Markdown."""
    batches = sorted({row["batch"] for row in rows})
    cells = {(row["engine"], row["batch"]): row for row in rows}
    head = ["engine", *(f"batch {batch:,}" for batch in batches)]
    head += ["mean pixel error", "max pixel error", "bytes"]
    lines = []
    for engine in dict.fromkeys(row["engine"] for row in rows):
        first = cells[engine, batches[0]]
        speeds = (cells[engine, batch] for batch in batches)
        lines.append(
            [
                engine,
                *(f"{images_per_second(row):,.0f} ({speedup(row):.2f})" for row in speeds),
                f"{first['error_mean']:.3f}",
                first["error_max"],
                f"{first['bytes']:,}",
            ]
        )
    return harness.table(head, lines)


def model_comparison(rows: list[dict[str, Any]]) -> str:
    """Compare the shipped model through the public API with the classic network elsewhere."""
    from engines import BASE, NEW_SEEDS, OURS

    keys = ("network", "engine", "threads", "batch")
    by_key = {tuple(row[key] for key in keys): row for row in rows}
    others = (BASE, "LiteRT, int8 (dynamic)")
    lines = []
    for threads in sorted({row["threads"] for row in rows}):
        for batch in sorted({row["batch"] for row in rows}):
            for engine in (OURS, NEW_SEEDS):
                ours = by_key["shipped", engine, threads, batch]
                cells = (
                    f"{images_per_second(ours) / images_per_second(other):.1f}"
                    if other
                    else "missing"
                    for other in (by_key.get(("classic", each, threads, batch)) for each in others)
                )
                overhead = f"{ours['overhead_us']:.0f}"
                lines.append([engine, threads, f"{batch:,}", *cells, overhead])
    head = ["engine", "threads", "batch", "vs onnxruntime", "vs LiteRT, int8", "API overhead, µs"]
    words = (
        "The speedup of the shipped model through `ImageGenerator.generate`, noise included, over "
        "the classic network in another runtime, in the same run. The API overhead is the time "
        "that such a call takes in addition to `session.run` on the same file. A call generates "
        "the next images of a seed, or the first images of a new seed.\n\n"
    )
    return words + harness.table(head, lines)


def plot(rows: list[dict[str, Any]]) -> "Figure":
    """Return a figure of images per second against batch size, one curve per engine."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.5), layout="constrained")
    for axes, network in zip(figure.subplots(1, 2, sharey=True), NETWORKS, strict=True):
        selected = [row for row in rows if (row["network"], row["threads"]) == (network, 1)]
        for number, engine in enumerate(dict.fromkeys(row["engine"] for row in selected)):
            points = [row for row in selected if row["engine"] == engine]
            axes.plot(
                [row["batch"] for row in points],
                [images_per_second(row) for row in points],
                "o-" if engine.startswith("ours") else ".--",
                color=f"C{number % 10}" if number < 10 else "k",
                label=engine,
            )
        axes.set(title=f"{network}, one thread", xlabel="batch", xscale="log", yscale="log")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("images per second")
    figure.axes[1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    main()
