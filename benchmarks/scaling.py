"""Scaling: how do time and memory grow with batch size, threads, images and processes?

    make bench BENCH_FLAGS=scaling      (or: python benchmarks/scaling.py [--quick])

Measures the shipped model through the public API. Batch sizes and thread counts are timed in one
process. Image and process counts are measured with whole processes, from the start of Python to its
end; their memory is the peak.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import harness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BENCHMARK = "scaling"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
COUNTS, QUICK_COUNTS = [10**power for power in range(1, 8)], [10, 1000, 100_000]
BULK_IMAGES = 1024 * 16
SHARED_IMAGES, QUICK_SHARED_IMAGES = 400_000, 40_000  # images that processes divide among them
ROUNDS, QUICK_ROUNDS = 9, 3
PROCESS_RUNS = 3  # runs per measurement of whole processes; the medians are reported
LONG_SECONDS = 5.0  # measure_process() does not repeat a run that takes this long
BULK_SECONDS = 0.05  # approximate length of one measurement of bulk generation

INTRODUCTION = """\
The shipped model is measured through `ImageGenerator.generate`, including noise generation. The
tables by number of images and processes show whole processes that `stream` the images, from the
start of Python to its end. Memory is the peak of one process."""


@click.command()
@click.option("--quick", is_flag=True, help="Use fewer images and rounds; write no page.")
@click.option("--worker", nargs=2, type=int, hidden=True, metavar="START COUNT")
def main(quick: bool, worker: tuple[int, int] | None) -> None:
    """Measure, record and write the page."""
    if worker is not None:
        click.echo(json.dumps(generate_range(*worker)))
        return
    counts, missing = harness.thread_counts()
    rows = {
        "batch": measure_batches(QUICK_ROUNDS if quick else ROUNDS),
        "threads": measure_threads(QUICK_ROUNDS if quick else ROUNDS, counts),
        "images": [
            {"images": count, **measure_process(count)}
            for count in (QUICK_COUNTS if quick else COUNTS)
        ],
        "processes": measure_processes(QUICK_SHARED_IMAGES if quick else SHARED_IMAGES, counts),
    }
    record = harness.append_record(BENCHMARK, rows, quick=quick, missing=missing)
    click.echo(harness.publish(BENCHMARK, record, page(rows), plot(rows)))


def measure_batches(rounds: int) -> list[dict[str, Any]]:
    """Time calls of each batch size on one thread."""
    from cgan_runtime import ImageGenerator

    with harness.pinned_cpus(1), ImageGenerator(provider="cpu", threads=1) as generator:
        calls = {
            str(batch): partial(generator.generate, [i % 10 for i in range(batch)], seed=1)
            for batch in BATCHES
        }
        timings = harness.time_interleaved(calls, rounds, harness.MEASUREMENT_SECONDS)
    return [{"batch": batch, **timings[str(batch)].summary()} for batch in BATCHES]


def measure_threads(rounds: int, counts: list[int]) -> list[dict[str, Any]]:
    """Time bulk generation by number of threads."""
    from cgan_runtime import ImageGenerator

    labels = [i % 10 for i in range(BULK_IMAGES)]
    generators = {n: ImageGenerator(provider="cpu", threads=n) for n in counts}
    calls = {str(n): partial(each.generate, labels, seed=1) for n, each in generators.items()}
    timings = harness.time_interleaved(calls, rounds, BULK_SECONDS, harness.SETTLE_SECONDS)
    return [
        {"threads": n, "images": BULK_IMAGES, **timings[str(n)].summary(timings["1"])}
        for n in generators
    ]


def measure_process(count: int) -> dict[str, float]:
    """Return the median wall and CPU seconds and peak memory of a process on one thread."""
    runs: list[dict[str, float]] = []
    while len(runs) < PROCESS_RUNS and (not runs or runs[-1]["wall"] < LONG_SECONDS):
        with harness.pinned_cpus(1):
            runs.append(run_processes([(0, count)]))
    return medians(runs)


def measure_processes(count: int, process_counts: list[int]) -> list[dict[str, Any]]:
    """Measure groups of single-threaded processes that share the images; one row per group size."""
    rows = []
    for processes in process_counts:
        share = count // processes
        ranges = [(rank * share, share) for rank in range(processes)]
        runs = [run_processes(ranges) for _ in range(PROCESS_RUNS)]
        rows.append({"processes": processes, "images": count, **medians(runs)})
    return rows


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each value over all runs."""
    return {name: statistics.median(each[name] for each in runs) for name in runs[0]}


def run_processes(ranges: list[tuple[int, int]]) -> dict[str, float]:
    """Run a process for each (start, count) at the same time.

    Returns:
        The wall seconds, the CPU seconds of all processes, and the largest peak memory in MB.
    """
    begin, running = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        for number, (start, count) in enumerate(ranges):
            command = [sys.executable, __file__, "--worker", str(start), str(count)]
            with (Path(folder) / str(number)).open("w") as file:
                running.append(subprocess.Popen(command, stdout=file))
        for process in running:
            if process.wait():
                raise click.ClickException(f"a process failed with exit code {process.returncode}")
        wall = time.perf_counter() - begin
        usage = [json.loads((Path(folder) / str(n)).read_text()) for n in range(len(ranges))]
    return {
        "wall": wall,
        "cpu": sum(each["cpu"] for each in usage),
        "memory": max(each["memory"] for each in usage),
    }


def generate_range(start: int, count: int) -> dict[str, float]:
    """Generate and discard images start .. start + count - 1; return CPU seconds and peak MB."""
    import resource

    from cgan_runtime import ImageGenerator

    with ImageGenerator(provider="cpu", threads=1) as generator:
        for _ in generator.stream(9, seed=1, count=count, start=start):
            pass
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": usage.ru_utime + usage.ru_stime, "memory": peak_memory(usage.ru_maxrss)}


def peak_memory(maxrss: int) -> float:
    """Return the peak memory of this process in MB.

    On Linux ru_maxrss includes the memory of the parent process, but VmHWM does not.
    """
    try:
        status = Path("/proc/self/status").read_text()
        (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    except (OSError, ValueError):
        return maxrss / 1e6  # macOS counts bytes


def linear_fit(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Return CPU seconds per process start and per image, computed from first and last row."""
    small, large = rows[0], rows[-1]
    per_image = (large["cpu"] - small["cpu"]) / (large["images"] - small["images"])
    return small["cpu"] - per_image * small["images"], per_image


def page(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Return the page's Markdown."""
    start, per_image = linear_fit(rows["images"])
    images = [
        [
            f"{row['images']:,}",
            f"{row['wall']:.2f}",
            f"{row['cpu']:.2f}",
            f"{start + per_image * row['images']:.2f}",
            f"{row['memory']:.0f}",
        ]
        for row in rows["images"]
    ]
    batches = [
        [f"{row['batch']:,}", f"{row['cpu_us']:,.0f}", f"{row['cpu_us'] / row['batch']:.2f}"]
        for row in rows["batch"]
    ]
    threads = [
        [row["threads"], f"{row['images'] / row['wall_us'] * 1e6:,.0f}", f"{row['ratio']:.2f}"]
        for row in rows["threads"]
    ]
    one = rows["processes"][0]
    processes = [
        [
            row["processes"],
            f"{row['images'] / row['wall']:,.0f}",
            f"{one['wall'] / row['wall']:.2f}",
            f"{row['memory']:.0f}",
        ]
        for row in rows["processes"]
    ]
    fit = (
        f"The linear model is {start:.2f} s per process start and {per_image * 1e6:.2f} µs per "
        "image. It is computed from the first row and the last, so the rows between test it."
    )
    head = ["images", "wall s", "CPU s", "CPU s, linear model", "peak MB"]
    return "\n\n".join(
        [
            "# Scaling",
            INTRODUCTION,
            "## Number of images, one thread",
            harness.table(head, images),
            fit,
            "## Batch size, one thread",
            harness.table(["batch", "CPU µs", "CPU µs per image"], batches),
            "## Threads of one process, in bulk",
            harness.table(["threads", "images/s", "speedup"], threads),
            "## Processes of one thread each",
            harness.table(["processes", "images/s", "speedup", "peak MB of one"], processes),
        ]
    )


def plot(rows: dict[str, list[dict[str, Any]]]) -> "Figure":
    """Return a figure of time and memory by number of images, and of time by batch size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.5), layout="constrained")
    seconds, memory, batch = figure.subplots(1, 3)
    counts = [row["images"] for row in rows["images"]]
    start, per_image = linear_fit(rows["images"])
    seconds.plot(counts, [row["cpu"] for row in rows["images"]], "o", label="measured")
    seconds.plot(counts, [start + per_image * count for count in counts], "-", label="linear model")
    seconds.set(xlabel="images", ylabel="CPU seconds of the process", xscale="log", yscale="log")
    seconds.legend()
    memory.plot(counts, [row["memory"] for row in rows["images"]], "o-")
    memory.set(xlabel="images", ylabel="peak memory, MB", xscale="log", ylim=(0, None))
    sizes = [row["batch"] for row in rows["batch"]]
    batch.plot(sizes, [row["cpu_us"] / row["batch"] for row in rows["batch"]], "o-")
    batch.set(xlabel="batch", ylabel="CPU µs per image", xscale="log", yscale="log")
    for axes in (seconds, memory, batch):
        axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    main()
