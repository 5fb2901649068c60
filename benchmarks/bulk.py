"""What does an engine of cgan-bulk cost, beside one plain process that draws the same?

    python benchmarks/bulk.py --rounds 5 --folder /dev/shm --cgroup /sys/fs/cgroup/unified

Whole commands in interleaved rounds; medians, and medians of each round's ratio to the plain
process. Two jobs each, of as many shards: of the usual size, and of one image. By the times at
which shards were finished, the former gives images a second and the latter what a shard costs; what
a command takes besides is its start and end. Ray starts and ends a cluster of its own in every run.

CPU time is that of all processes of a command, Ray's own too, from a control group (version 2)
below the folder that --cgroup names, which must be writable. It holds where other work takes the
CPUs, and images a second do not. --folder had better be memory, or it is the disk that is measured.
--more adds rounds to those that are there. Writes docs/benchmarks/: bulk.json, bulk.md.
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

from cgan_runtime.cli.bulk import SHARD_IMAGES

PLAIN = "cgan-run"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Way:
    """How to draw."""

    engine: str  # of cgan-bulk, or PLAIN
    workers: int
    format: str  # of the files

    @property
    def name(self) -> str:
        """What the table calls it."""
        if self.engine == PLAIN:
            return f"{PLAIN}, {self.format}"
        return f"{self.engine}, {self.workers} worker{'s' * (self.workers > 1)}, {self.format}"

    def command(self, images: int, shard_images: int, folder: Path) -> list[str]:
        """Return the command that draws so many images of one digit."""
        count = ["--digit", "9", "--seed", "1", "--count", str(images)]
        place = ["--format", self.format, "--output", str(folder)]
        if self.engine == PLAIN:
            return [str(BIN / PLAIN), *count, *place, "--threads", "1"]
        engine = ["--engine", self.engine, "--workers", str(self.workers)]
        shards = ["--shard-images", str(shard_images)]
        return [str(BIN / "cgan-bulk"), *count, *place, *engine, *shards]


@dataclass(frozen=True)
class Run:
    """What one command took."""

    images_per_second: float
    shard_seconds: float  # from one to the next
    other_seconds: float  # start and end
    cpu_seconds: float  # of all its processes


WAYS = [
    Way(PLAIN, 1, "idx"),
    *(Way("local", workers, format_) for format_ in ("idx", "parquet") for workers in (1, 2)),
    *(Way("ray", workers, format_) for format_ in ("idx", "parquet") for workers in (1, 2)),
]


def run(way: Way, images: int, shard_images: int, folder: Path, cgroup: Path) -> Run:
    """Run a command and return what it took."""
    group = cgroup / f"bulk-{os.getpid()}"
    group.mkdir()
    began = time.perf_counter()
    subprocess.run(
        way.command(images, shard_images, folder),
        env=os.environ | {"RAY_ADDRESS": "local"},
        preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    took = time.perf_counter() - began
    while (group / "cgroup.procs").read_text():  # Ray's last processes
        time.sleep(0.1)
    cpu = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    group.rmdir()
    ending = "*.parquet" if way.format == "parquet" else "*-images-*"
    finished = sorted(path.stat().st_mtime for path in folder.glob(f"shards/{ending}"))
    shutil.rmtree(folder)
    cpu_seconds = int(cpu["usage_usec"]) / 1e6
    if not finished:  # the plain process's
        return Run(images / took, 0, took, cpu_seconds)
    first, last = finished[way.workers - 1], finished[-1]  # each worker has finished one
    shards = len(finished) - way.workers
    return Run(
        images_per_second=shards * shard_images / (last - first),
        shard_seconds=(last - first) / shards,
        other_seconds=took - last + first,
        cpu_seconds=cpu_seconds,
    )


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--shards", type=click.IntRange(4), default=20, show_default=True)
@click.option("--more", is_flag=True, help="Add the rounds to those that were measured before.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where to draw.")
@click.option("--cgroup", type=click.Path(path_type=Path, exists=True), default="/sys/fs/cgroup")
@click.option("--output", type=click.Path(path_type=Path), default="docs/benchmarks")
def main(
    rounds: int, shards: int, more: bool, folder: Path | None, cgroup: Path, output: Path
) -> None:
    """Measure, and write the table."""
    found: dict[str, list[dict[str, float]]] = {way.name: [] for way in WAYS}
    if more:
        found = json.loads((output / "bulk.json").read_text())["rounds"]
    output.mkdir(parents=True, exist_ok=True)
    for number in range(rounds):
        click.echo(f"round {number + 1} of {rounds}", err=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            for way in WAYS:
                found[way.name].append(measured(way, shards, Path(place) / "digits", cgroup))
        told = {
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
            "versions": {
                name: version(name) for name in ("cgan-runtime", "onnxruntime", "pyarrow", "ray")
            },
            "images": shards * SHARD_IMAGES,
            "rounds": found,
        }
        (output / "bulk.json").write_text(json.dumps(told, indent=2) + "\n")
        (output / "bulk.md").write_text(as_table(found))
    click.echo(as_table(found))


def measured(way: Way, shards: int, folder: Path, cgroup: Path) -> dict[str, float]:
    """Return a round's figures of one way."""
    images = shards * SHARD_IMAGES
    plain = way.engine == PLAIN
    tiny_images = 1 if plain else shards
    tiny = run(way, tiny_images, 1, folder, cgroup)
    large = run(way, images, SHARD_IMAGES, folder, cgroup)
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


def as_table(found: dict[str, list[dict[str, float]]]) -> str:
    plain = found[WAYS[0].name]
    head = [
        "",
        "CPU an image",
        "ratio",
        "images/s",
        "ratio",
        "a shard costs",
        "start and end",
        "CPU",
    ]
    lines = [f"| {' | '.join(head)} |", f"|---|{(len(head) - 1) * '---:|'}"]
    for name, rounds in found.items():
        middle = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        cpu, rate = (
            statistics.median(
                each[key] / base[key] for each, base in zip(rounds, plain, strict=True)
            )
            for key in ("cpu_microseconds", "images_per_second")
        )
        shard = middle["shard_milliseconds"]
        lines.append(
            f"| {name} | {middle['cpu_microseconds']:.2f} µs | {cpu:.2f} "
            f"| {middle['images_per_second']:,.0f} | {rate:.2f} "
            f"| {f'{shard:.1f} ms' if shard else ''} | {middle['other_seconds']:.1f} s "
            f"| {middle['other_cpu_seconds']:.1f} s |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
