"""Bulk generation: what does each engine of cgan-bulk cost, compared with one cgan-run process?

    python benchmarks/bulk.py --rounds 5 --folder /dev/shm --cgroup /sys/fs/cgroup/unified

Times whole commands in interleaved rounds, and reports medians and the medians of the per-round
ratios to cgan-run. Each engine runs two jobs with the same number of shards: full-size shards, and
shards of one image. The first job gives images per second and the second the time per shard, both
from the times at which shards were finished. The rest of a command's time is its start and end. Ray
starts and stops a cluster of its own in every run.

CPU time covers all processes of a command, including Ray's. It comes from a version 2 control group
below the folder that --cgroup names, which must be writable. On a busy machine CPU time stays
valid, but images per second do not. Choose a --folder in memory, otherwise the disk is measured
too. --more adds rounds to the existing ones. Writes bulk.json and bulk.md into docs/benchmarks/.
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
    """A way to generate images."""

    engine: str  # of cgan-bulk, or CGAN_RUN
    workers: int
    format: str

    @property
    def name(self) -> str:
        """The name in the table."""
        if self.engine == CGAN_RUN:
            return f"{CGAN_RUN}, {self.format}"
        return f"{self.engine}, {self.workers} worker{'s' * (self.workers > 1)}, {self.format}"

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

    images_per_second: float
    shard_seconds: float  # from one finished shard to the next
    other_seconds: float  # start and end
    cpu_seconds: float  # of all its processes


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
    """Run a command and measure it."""
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
        return Run(images / seconds, 0, seconds, cpu_seconds)
    first, last = finished[method.workers - 1], finished[-1]  # each worker has finished one
    shards = len(finished) - method.workers
    return Run(
        images_per_second=shards * shard_images / (last - first),
        shard_seconds=(last - first) / shards,
        other_seconds=seconds - last + first,
        cpu_seconds=cpu_seconds,
    )


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--shards", type=click.IntRange(4), default=20, show_default=True)
@click.option("--more", is_flag=True, help="Add rounds to those measured before.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Folder for output.")
@click.option("--cgroup", type=click.Path(path_type=Path, exists=True), default="/sys/fs/cgroup")
@click.option("--output", type=click.Path(path_type=Path), default="docs/benchmarks")
def main(
    rounds: int, shards: int, more: bool, folder: Path | None, cgroup: Path, output: Path
) -> None:
    """Measure, and write the table."""
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
    plain = method.engine == CGAN_RUN
    tiny_images = 1 if plain else shards
    tiny = run(method, tiny_images, 1, folder, cgroup)
    large = run(method, images, SHARD_IMAGES, folder, cgroup)
    rate = images / (large.other_seconds - tiny.other_seconds) if plain else large.images_per_second
    return {
        "images_per_second": round(rate),
        "shard_milliseconds": round(tiny.shard_seconds * 1e3, 2),
        "other_seconds": round(tiny.other_seconds, 2),
        "cpu_microseconds": round(
            (large.cpu_seconds - tiny.cpu_seconds) / (images - tiny_images) * 1e6, 3
        ),
        "other_cpu_seconds": round(tiny.cpu_seconds, 2),
    }


def table(results: dict[str, Rounds]) -> str:
    """Return the page with the results."""
    base = results[METHODS[0].name]
    head = ["engine", "CPU per image", "ratio", "images/s", "ratio"]
    head += ["time per shard", "start and end", "CPU of start and end"]
    lines = []
    for name, rounds in results.items():
        medians = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        cpu, rate = (
            statistics.median(
                mine[key] / plain[key] for mine, plain in zip(rounds, base, strict=True)
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
