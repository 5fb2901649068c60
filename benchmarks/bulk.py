"""What does an engine of cgan-bulk cost, beside one plain process that draws the same?

    python benchmarks/bulk.py --rounds 5 --folder /dev/shm

Whole commands in interleaved rounds; medians, and medians of each round's ratio to the plain
process. Two jobs each: shards of the usual size, and shards of one image. By the times at which
shards were finished, the former gives images a second and the latter what a shard costs; what a
command takes besides is its start and end. Ray starts and ends a cluster of its own in every run.
--folder had better be memory, or it is the disk that is measured. --more adds rounds to those that
are there. Writes docs/benchmarks/: bulk.json, bulk.md.
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

from cgan_runtime.bulk_cli import SHARD_IMAGES

PLAIN = "cgan-run"
TINY = 200  # shards of one image
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
    seconds_a_shard: float  # from one to the next
    other_seconds: float  # start and end


WAYS = [
    Way(PLAIN, 1, "idx"),
    *(Way("local", workers, format_) for format_ in ("idx", "parquet") for workers in (1, 2)),
    *(Way("ray", workers, format_) for format_ in ("idx", "parquet") for workers in (1, 2)),
]


def run(way: Way, images: int, shard_images: int, folder: Path) -> Run:
    """Run a command and return what it took."""
    began = time.perf_counter()
    environment = os.environ | {"RAY_ADDRESS": "local"}
    command = way.command(images, shard_images, folder)
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    took = time.perf_counter() - began
    ending = "*.parquet" if way.format == "parquet" else "*-images-*"
    finished = sorted(path.stat().st_mtime for path in folder.glob(f"shards/{ending}"))
    shutil.rmtree(folder)
    if not finished:  # the plain process's own
        return Run(images / took, 0, took)
    first, last = finished[way.workers - 1], finished[-1]  # each worker has finished one
    shards = len(finished) - way.workers
    return Run(shards * shard_images / (last - first), (last - first) / shards, took - last + first)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--shards", type=click.IntRange(4), default=20, show_default=True)
@click.option("--more", is_flag=True, help="Add the rounds to those that were measured before.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where to draw.")
@click.option("--output", type=click.Path(path_type=Path), default="docs/benchmarks")
def main(rounds: int, shards: int, more: bool, folder: Path | None, output: Path) -> None:
    """Measure, and write the table."""
    found: dict[str, list[dict[str, float]]] = {way.name: [] for way in WAYS}
    if more:
        found = json.loads((output / "bulk.json").read_text())["rounds"]
    for number in range(rounds):
        click.echo(f"round {number + 1} of {rounds}", err=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            for way in WAYS:
                found[way.name].append(measured(way, shards, Path(place) / "digits"))
    told = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {
            name: version(name) for name in ("cgan-runtime", "onnxruntime", "pyarrow", "ray")
        },
        "images": shards * SHARD_IMAGES,
        "rounds": found,
    }
    output.mkdir(parents=True, exist_ok=True)
    (output / "bulk.json").write_text(json.dumps(told, indent=2) + "\n")
    (output / "bulk.md").write_text(as_table(found))
    click.echo(as_table(found))


def measured(way: Way, shards: int, folder: Path) -> dict[str, float]:
    """Return a round's figures of one way."""
    tiny = run(way, 1 if way.engine == PLAIN else TINY, 1, folder)
    large = run(way, shards * SHARD_IMAGES, SHARD_IMAGES, folder)
    rate = large.images_per_second
    if way.engine == PLAIN:
        rate = shards * SHARD_IMAGES / (large.other_seconds - tiny.other_seconds)
    return {
        "images_per_second": round(rate),
        "other_seconds": round(tiny.other_seconds, 2),
        "shard_milliseconds": round(tiny.seconds_a_shard * 1e3, 2),
    }


def as_table(found: dict[str, list[dict[str, float]]]) -> str:
    plain = found[WAYS[0].name]
    lines = [
        "| | images/s | beside one process | a shard costs | start and end |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, rounds in found.items():
        rates = [each["images_per_second"] for each in rounds]
        ratios = [rate / base["images_per_second"] for rate, base in zip(rates, plain, strict=True)]
        shard = statistics.median(each["shard_milliseconds"] for each in rounds)
        other = statistics.median(each["other_seconds"] for each in rounds)
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} | {statistics.median(ratios):.2f} "
            f"| {f'{shard:.1f} ms' if shard else ''} | {other:.1f} s |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
