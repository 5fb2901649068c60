"""Inference: which runtime runs the same network fastest?

    make bench BENCH_FLAGS=inference      (or: python benchmarks/inference.py [--quick])

Runs the classic network and the shipped one in every engine of engines.py, at several batch sizes,
on one thread and on all. Each network and thread count has its own process, in which the engines
are timed in interleaved rounds. The timings of our engines include noise generation, except for the
engine "session.run only". The other runtimes get the noise as input.
"""

import json
import statistics
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
QUICK_SECONDS = 0.01  # approximate length of one measurement in a quick run
NETWORKS = {"classic": "The classic network", "shipped": "The shipped network"}
ERROR_IMAGES = 1024  # number of images that are compared with PyTorch
INTRODUCTION = """\
Images per second by network and number of threads. The number in parentheses is the speedup over
a plain `torch.onnx.export` of the same network in onnxruntime, on the same number of threads
(median of the per-round ratios). On one thread, the time is CPU time, which other programs hardly
affect and which equals the wall time on an idle machine. On all threads, it is wall time. Pixel
errors are measured against PyTorch in float32 over 1,024 images, on the scale 0-255. Our timings
include noise generation, except in the rows "session.run only"; the others' timings do not."""


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
    record = harness.append_record(
        BENCHMARK, rows, quick=quick, missing=missing, settings=timing_settings(quick=quick)
    )
    click.echo(harness.publish(BENCHMARK, record, page(rows), plot(rows)))


def timing_settings(*, quick: bool) -> dict[str, Any]:
    """Return the number of rounds, and the approximate seconds of one measurement."""
    if quick:
        return {"rounds": QUICK_ROUNDS, "seconds": QUICK_SECONDS}
    return {"rounds": ROUNDS, "seconds": harness.MEASUREMENT_SECONDS}


def measure_in_process(network: str, threads: int, folder: str, *, quick: bool) -> dict[str, Any]:
    """Measure a network in a process restricted to this number of CPUs and threads."""
    command = [sys.executable, __file__, "--worker", network, "--threads", str(threads)]
    command += ["--folder", folder, *(["--quick"] if quick else [])]
    with harness.pinned_cpus(threads):
        done = subprocess.run(
            command,
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
    rows, engines, errors, missing = [], {}, {}, {}
    for engine_name, engine in load_engines(network, threads, folder, quick=quick):
        if isinstance(engine, Engine):
            engines[engine_name] = engine
        else:
            missing[engine_name] = str(engine)
    for engine_name, engine in engines.items():
        engine.prepare(ERROR_IMAGES)
        errors[engine_name] = np.abs(engine.generate(noise, label).astype(np.int16) - expected)
    for batch in QUICK_BATCHES if quick else BATCHES:
        inputs = noise[:batch], label[:batch]
        for engine in engines.values():
            engine.prepare(batch)
        timings = harness.time_interleaved(
            {each: partial(engine.generate, *inputs) for each, engine in engines.items()},
            **timing_settings(quick=quick),
            settle=harness.SETTLE_SECONDS if threads > 1 else 0.0,
        )
        for engine_name, engine in engines.items():
            timing = timings[engine_name]
            rows.append(
                {
                    "network": name,
                    "threads": threads,
                    "batch": batch,
                    "engine": engine_name,
                    "bytes": engine.size_bytes,
                    "error_mean": round(float(errors[engine_name].mean()), 3),
                    "error_max": int(errors[engine_name].max()),
                    **timing.summary(timings[BASE]),
                }
            )
            if engine_name in (OURS, NEW_SEEDS):
                session = timings[SESSION_ONLY].cpu
                overhead = statistics.median(
                    a - b for a, b in zip(timing.cpu, session, strict=True)
                )
                rows[-1]["overhead_us"] = float(f"{overhead * 1e6:.3g}")
    return {"rows": rows, "missing": missing}


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page's Markdown."""
    size = next(
        r["bytes"] for r in rows if (r["network"], r["engine"]) == ("shipped", "ours, int8")
    )
    model = (
        "The shipped network is the model that shipped at the time of the measurement, a file of "
        f"{size:,} bytes."
    )
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
    """Return the table of one network and thread count as Markdown."""
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
    """Return a table of the shipped model's speedup over the classic network in other runtimes."""
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
