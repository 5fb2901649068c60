"""What does more cost? Batch, threads, images, processes.

    make bench BENCH_FLAGS=growth      (or: python benchmarks/growth.py [--quick])

The model that ships, through the public API. Batches and threads take turns in one process. Numbers
of images, and processes that share them, are whole processes: start, draw, end; so their time is
what a user waits for, and their peak memory is all that was ever taken.
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

QUESTION = "growth"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
COUNTS, QUICK_COUNTS = [10**power for power in range(1, 8)], [10, 1000, 100_000]
BULK = 1024 * 16
SHARED, QUICK_SHARED = 400_000, 40_000  # images that processes share
ROUNDS, QUICK_ROUNDS = 9, 3
REPEATS = 3  # of whole processes, where they take less than SHORT seconds
SHORT = 5.0

INTRODUCTION = """\
The model that ships, `ImageGenerator.generate`, noise included. Number of images and processes are
whole processes that `stream` them, from the start of Python to its end; memory is the most that one
ever held."""


@click.command()
@click.option("--quick", is_flag=True, help="Fewer images and rounds; no page.")
@click.option("--worker", nargs=3, type=int, hidden=True, metavar="START COUNT THREADS")
def main(quick: bool, worker: tuple[int, int, int] | None) -> None:
    """Measure, record and write the page."""
    if worker is not None:
        click.echo(json.dumps(draw_share(*worker)))
        return
    counts, missing = harness.thread_counts()
    rows = {
        "batch": by_batch(QUICK_ROUNDS if quick else ROUNDS),
        "threads": by_threads(QUICK_ROUNDS if quick else ROUNDS, counts),
        "images": by_images(QUICK_COUNTS if quick else COUNTS),
        "processes": by_processes(QUICK_SHARED if quick else SHARED, counts),
    }
    line = harness.record(QUESTION, rows, quick=quick, missing=missing)
    click.echo(harness.publish(QUESTION, line, page(rows), plot(rows)))


def by_batch(rounds: int) -> list[dict[str, Any]]:
    """Time calls of each batch on one thread."""
    from cgan_runtime import ImageGenerator

    with harness.pinned(1), ImageGenerator(provider="cpu", threads=1) as generator:
        calls = {
            str(batch): partial(generator.generate, [i % 10 for i in range(batch)], seed=1)
            for batch in BATCHES
        }
        timings = harness.interleaved(calls, rounds, 0.02)
    return [{"batch": batch, **timings[str(batch)].facts()} for batch in BATCHES]


def by_threads(rounds: int, counts: list[int]) -> list[dict[str, Any]]:
    """Time bulk on one thread and more."""
    from cgan_runtime import ImageGenerator

    labels = [i % 10 for i in range(BULK)]
    generators = {n: ImageGenerator(provider="cpu", threads=n) for n in counts}
    calls = {str(n): partial(each.generate, labels, seed=1) for n, each in generators.items()}
    timings = harness.interleaved(calls, rounds, 0.05, harness.SETTLE)
    return [
        {"threads": n, "images": BULK, **timings[str(n)].facts(timings["1"])} for n in generators
    ]


def by_images(counts: list[int]) -> list[dict[str, Any]]:
    """Run whole processes that draw so many images on one thread."""
    return [{"images": count, **whole_process(count)} for count in counts]


def whole_process(count: int) -> dict[str, float]:
    """Return medians of wall and CPU seconds and the peak memory of a process."""
    found: list[dict[str, float]] = []
    while len(found) < REPEATS and (not found or found[-1]["wall"] < SHORT):
        with harness.pinned(1):
            began = time.perf_counter()
            (spent,) = in_processes([(0, count)])
            found.append({**spent, "wall": time.perf_counter() - began})
    return {name: statistics.median(each[name] for each in found) for name in found[0]}


def by_processes(count: int, counts: list[int]) -> list[dict[str, Any]]:
    """Share the images among processes of one thread each, by --start as a user would."""
    rows = []
    for processes in counts:
        share = count // processes
        walls = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            spent = in_processes([(rank * share, share) for rank in range(processes)])
            walls.append(time.perf_counter() - began)
        rows.append(
            {
                "processes": processes,
                "images": count,
                "wall": statistics.median(walls),
                "cpu": sum(each["cpu"] for each in spent),
                "memory": max(each["memory"] for each in spent),
            }
        )
    return rows


def in_processes(shares: list[tuple[int, int]]) -> list[dict[str, float]]:
    """Run a process for each (start, count) at once; return what each says it took."""
    running = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (start, count) in enumerate(shares):
            command = [sys.executable, __file__, "--worker", str(start), str(count), "1"]
            with (Path(folder) / str(number)).open("w") as file:
                running.append(subprocess.Popen(command, stdout=file))
        for process in running:
            if process.wait():
                raise click.ClickException(f"a process failed with exit code {process.returncode}")
        return [json.loads((Path(folder) / str(n)).read_text()) for n in range(len(shares))]


def draw_share(start: int, count: int, threads: int) -> dict[str, float]:
    """Draw and let go of images start .. start + count - 1; return what this process took."""
    import resource

    from cgan_runtime import ImageGenerator

    with ImageGenerator(provider="cpu", threads=threads) as generator:
        turn = [(start + index) % 10 for index in range(10)]
        for _ in generator.stream(turn, seed=1, count=count, start=start):
            pass
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": spent.ru_utime + spent.ru_stime, "memory": most_memory(spent.ru_maxrss)}


def most_memory(maxrss: int) -> float:
    """Return the MB that this process ever held.

    Linux counts in ru_maxrss the memory of the process that started this one; its status does not.
    """
    try:
        status = Path("/proc/self/status").read_text()
        (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    except (OSError, ValueError):
        return maxrss / 1e6  # macOS counts bytes


def fit(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Return CPU seconds of a start and of an image, from the first row and the last."""
    small, large = rows[0], rows[-1]
    image = (large["cpu"] - small["cpu"]) / (large["images"] - small["images"])
    return small["cpu"] - image * small["images"], image


def page(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Return the page's Markdown."""
    start, image = fit(rows["images"])
    by_images = [
        [
            f"{row['images']:,}",
            f"{row['wall']:.2f}",
            f"{row['cpu']:.2f}",
            f"{start + image * row['images']:.2f}",
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
    linear = (
        f"Linear means {start:.2f} s to start and {image * 1e6:.2f} µs an image, from the first "
        "row and the last; the rows between are the test."
    )
    return "\n\n".join(
        [
            "# Growth",
            INTRODUCTION,
            "## Number of images, one thread",
            harness.table(["images", "wall s", "CPU s", "CPU s if linear", "most MB"], by_images),
            linear,
            "## Batch, one thread",
            harness.table(["batch", "CPU µs", "CPU µs an image"], batches),
            "## Threads of one process, in bulk",
            harness.table(["threads", "images/s", "ratio"], threads),
            "## Processes of one thread each",
            harness.table(["processes", "images/s", "ratio", "most MB in one"], processes),
        ]
    )


def plot(rows: dict[str, list[dict[str, Any]]]) -> "Figure":
    """Return time and memory against images, and time an image against batch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.5), layout="constrained")
    seconds, memory, batch = figure.subplots(1, 3)
    counts = [row["images"] for row in rows["images"]]
    start, image = fit(rows["images"])
    seconds.plot(counts, [row["cpu"] for row in rows["images"]], "o", label="measured")
    seconds.plot(counts, [start + image * count for count in counts], "-", label="linear")
    seconds.set(xlabel="images", ylabel="CPU seconds of the process", xscale="log", yscale="log")
    seconds.legend()
    memory.plot(counts, [row["memory"] for row in rows["images"]], "o-")
    memory.set(xlabel="images", ylabel="most memory, MB", xscale="log", ylim=(0, None))
    sizes = [row["batch"] for row in rows["batch"]]
    batch.plot(sizes, [row["cpu_us"] / row["batch"] for row in rows["batch"]], "o-")
    batch.set(xlabel="batch", ylabel="CPU µs an image", xscale="log", yscale="log")
    for axes in (seconds, memory, batch):
        axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    main()
