"""Bulk generation: what does each engine of cgan-bulk cost, compared with one cgan-run process?

    python benchmarks/bulk.py --rounds 5 --folder /dev/shm --cgroup /sys/fs/cgroup/unified

Times whole commands in interleaved rounds, and reports medians and the medians of the per-round
ratios to cgan-run. Each engine runs two jobs with the same number of shards: one with an image per
shard, which gives the time per shard, and one with full-size shards, which gives images per second.
Both values come from the modification times of the shard files. The rest of a command's time is
"start and end". cgan-run writes no shards; its images per second come from the difference between
runs of one and of all images. Ray starts and stops its own cluster in every run.

CPU time covers all processes of a command, including Ray's. It comes from a version 2 control group
below the folder --cgroup, which must be writable. On a busy machine CPU time stays valid, but
images per second do not. Choose a --folder in memory, otherwise the disk is measured too. --more
adds rounds to the existing ones. Writes bulk.json and bulk.md into docs/benchmarks/.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click
import harness

from cgan_runtime.cli.bulk import SHARD_IMAGES

CGAN_RUN = "cgan-run"
BIN = Path(sys.executable).parent
Rounds = list[dict[str, float]]


@dataclass(frozen=True)
class Method:
    """A command that generates images."""

    engine: str  # an engine of cgan-bulk, or CGAN_RUN
    workers: int
    format: str

    @property
    def name(self) -> str:
        """The name in the table."""
        if self.engine == CGAN_RUN:
            return f"{CGAN_RUN}, {self.format}"
        unit = "worker" if self.workers == 1 else "workers"
        return f"{self.engine}, {self.workers} {unit}, {self.format}"

    def command(self, images: int, shard_images: int, folder: Path) -> list[str]:
        """Return the command that generates this many images of one digit."""
        count = ["--digit", "9", "--seed", "1", "--count", str(images)]
        output = ["--format", self.format, "--output", str(folder)]
        if self.engine == CGAN_RUN:
            return [str(BIN / CGAN_RUN), *count, *output, "--threads", "1"]
        engine = ["--engine", self.engine, "--workers", str(self.workers)]
        shards = ["--shard-images", str(shard_images)]
        return [str(BIN / "cgan-bulk"), *count, *output, *engine, *shards]


@dataclass(frozen=True)
class Run:
    """The measurements of one command."""

    seconds: float  # wall time of the whole command
    cpu_seconds: float  # CPU time of all its processes
    shards: int = 0  # shards between the first and the last measured time; 0 for cgan-run
    shard_seconds: float = 0.0  # time from one finished shard to the next


METHODS = [
    Method(CGAN_RUN, 1, "idx"),
    *(
        Method(engine, workers, format_)
        for engine in ("local", "ray")
        for format_ in ("idx", "parquet")
        for workers in (1, 2)
    ),
]


def run(method: Method, images: int, shard_images: int, folder: Path, cgroup: Path) -> Run:
    """Run a method's command and measure it."""
    group = cgroup / f"bulk-{os.getpid()}"
    group.mkdir()
    start = time.perf_counter()
    subprocess.run(
        method.command(images, shard_images, folder),
        env=os.environ | {"RAY_ADDRESS": "local"},
        preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - start
    while (group / "cgroup.procs").read_text():  # Ray's last processes are still ending
        time.sleep(0.1)
    cpu = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    group.rmdir()
    pattern = "*.parquet" if method.format == "parquet" else "*-images-*"
    finished = sorted(path.stat().st_mtime for path in folder.glob(f"shards/{pattern}"))
    shutil.rmtree(folder)
    cpu_seconds = int(cpu["usage_usec"]) / 1e6
    if not finished:  # cgan-run writes no shards
        return Run(seconds, cpu_seconds)
    # The first shard of each worker is skipped, because its time includes the start of the worker.
    first, last = finished[method.workers - 1], finished[-1]
    shards = len(finished) - method.workers
    return Run(seconds, cpu_seconds, shards, (last - first) / shards)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--shards", type=click.IntRange(4), default=20, show_default=True)
@click.option("--more", is_flag=True, help="Add rounds to the existing ones.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Folder for output.")
@click.option("--cgroup", type=click.Path(path_type=Path, exists=True), default="/sys/fs/cgroup")
@click.option("--output", type=click.Path(path_type=Path), default="docs/benchmarks")
def main(
    rounds: int, shards: int, more: bool, folder: Path | None, cgroup: Path, output: Path
) -> None:
    """Measure all methods and write the table."""
    results: dict[str, Rounds] = {method.name: [] for method in METHODS}
    if more:
        results = json.loads((output / "bulk.json").read_text())["rounds"]
    output.mkdir(parents=True, exist_ok=True)
    for number in range(rounds):
        click.echo(f"round {number + 1} of {rounds}", err=True)
        with tempfile.TemporaryDirectory(dir=folder) as parent:
            for method in METHODS:
                path = Path(parent) / "digits"
                results[method.name].append(measure(method, shards, path, cgroup))
        content = {
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
            "versions": {
                name: version(name) for name in ("cgan-runtime", "onnxruntime", "pyarrow", "ray")
            },
            "images": shards * SHARD_IMAGES,
            "rounds": results,
        }
        (output / "bulk.json").write_text(json.dumps(content, indent=2) + "\n")
        (output / "bulk.md").write_text(table(results))
    click.echo(table(results))


def measure(method: Method, shards: int, folder: Path, cgroup: Path) -> dict[str, float]:
    """Return the measurements of one method in one round."""
    images = shards * SHARD_IMAGES
    few_images = 1 if method.engine == CGAN_RUN else shards  # one image per shard
    few = run(method, few_images, 1, folder, cgroup)
    many = run(method, images, SHARD_IMAGES, folder, cgroup)
    if method.engine == CGAN_RUN:
        images_per_second = images / (many.seconds - few.seconds)
    else:
        images_per_second = SHARD_IMAGES / many.shard_seconds
    cpu_seconds = (many.cpu_seconds - few.cpu_seconds) / (images - few_images)
    return {
        "images_per_second": round(images_per_second),
        "shard_milliseconds": round(few.shard_seconds * 1e3, 2),
        "other_seconds": round(few.seconds - few.shards * few.shard_seconds, 2),
        "cpu_microseconds": round(cpu_seconds * 1e6, 3),
        "other_cpu_seconds": round(few.cpu_seconds, 2),
    }


def table(results: dict[str, Rounds]) -> str:
    """Return the page with the medians of all rounds."""
    base = results[METHODS[0].name]
    head = ["engine", "CPU per image", "ratio", "images/s", "ratio"]
    head += ["time per shard", "start and end", "CPU of start and end"]
    lines = []
    for name, rounds in results.items():
        medians = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        cpu, rate = (
            statistics.median(
                row[key] / base_row[key] for row, base_row in zip(rounds, base, strict=True)
            )
            for key in ("cpu_microseconds", "images_per_second")
        )
        shard = medians["shard_milliseconds"]
        lines.append(
            [
                name,
                f"{medians['cpu_microseconds']:.2f} µs",
                f"{cpu:.2f}",
                f"{medians['images_per_second']:,.0f}",
                f"{rate:.2f}",
                f"{shard:.1f} ms" if shard else "",
                f"{medians['other_seconds']:.1f} s",
                f"{medians['other_cpu_seconds']:.1f} s",
            ]
        )
    return f"# Bulk generation\n\n{harness.table(head, lines)}"


if __name__ == "__main__":
    main()
