"""What does an engine of cgan-bulk cost, beside one plain process that draws the same?

    python benchmarks/bulk.py --rounds 5 --folder /dev/shm

Whole commands, wall time, medians of interleaved rounds. Three jobs each: one image (the start),
many images in shards of the usual size, and one image a shard in many shards. Images a second are
those of the second job, without the start; a shard's cost is that of the third, without the start.
--folder had better be memory, or it is the disk that is measured. Ray starts and ends a cluster of
its own in every run. Writes docs/benchmarks/: bulk.json, bulk.md.
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
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import click

from cgan_runtime.bulk_cli import SHARD_IMAGES

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
class Row:
    """What was found of one way."""

    way: str
    start_seconds: float  # of the whole command, for one image
    images_per_second: int  # without the start
    shard_milliseconds: float | None  # that a shard costs besides its images
    bytes_per_image: int
    seconds: dict[str, list[float]]  # of each job, round by round


WAYS = [
    Way(PLAIN, 1, "idx"),
    *(Way("local", workers, format_) for format_ in ("idx", "parquet") for workers in (1, 2)),
    *(Way("ray", workers, format_) for format_ in ("idx", "parquet") for workers in (1, 2)),
]


def seconds(command: list[str], folder: Path) -> tuple[float, int]:
    """Run a command; return its wall time and how many bytes it wrote."""
    began = time.perf_counter()
    environment = os.environ | {"RAY_ADDRESS": "local"}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    took = time.perf_counter() - began
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return took, written


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--shards", type=click.IntRange(2), default=20, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where to draw.")
@click.option("--output", type=click.Path(path_type=Path), default="docs/benchmarks")
def main(rounds: int, shards: int, folder: Path | None, output: Path) -> None:
    """Measure, and write the table."""
    images, tiny = shards * SHARD_IMAGES, 10 * shards
    jobs = {"start": (1, 1), "images": (images, SHARD_IMAGES), "shards": (tiny, 1)}
    found: dict[Way, dict[str, list[float]]] = {way: {job: [] for job in jobs} for way in WAYS}
    bytes_written: dict[Way, int] = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for number in range(rounds):
            click.echo(f"round {number + 1} of {rounds}", err=True)
            for job, sizes in jobs.items():
                for way in WAYS:
                    if way.engine == PLAIN and job == "shards":
                        continue
                    target = Path(place) / "digits"
                    took, written = seconds(way.command(*sizes, target), target)
                    found[way][job].append(took)
                    if job == "images":
                        bytes_written[way] = written
    rows = [found_of(way, found[way], images, tiny, bytes_written[way]) for way in WAYS]
    told = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {
            name: version(name) for name in ("cgan-runtime", "onnxruntime", "pyarrow", "ray")
        },
        "rounds": rounds,
        "images": images,
        "rows": [asdict(row) for row in rows],
    }
    output.mkdir(parents=True, exist_ok=True)
    (output / "bulk.json").write_text(json.dumps(told, indent=2) + "\n")
    (output / "bulk.md").write_text(as_table(rows))
    click.echo(as_table(rows))


def found_of(way: Way, times: dict[str, list[float]], images: int, tiny: int, written: int) -> Row:
    start = statistics.median(times["start"])
    drawing = statistics.median(times["images"]) - start
    per_shard = None
    if times["shards"]:
        per_shard = round((statistics.median(times["shards"]) - start) / (tiny - 1) * 1e3, 1)
    return Row(
        way=way.name,
        start_seconds=round(start, 2),
        images_per_second=round((images - 1) / drawing),
        shard_milliseconds=per_shard,
        bytes_per_image=round(written / images),
        seconds={job: [round(each, 2) for each in took] for job, took in times.items()},
    )


def as_table(rows: list[Row]) -> str:
    plain = rows[0].images_per_second
    lines = [
        "| | start, s | images/s | beside one process | a shard costs, ms | bytes an image |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        shard = "" if row.shard_milliseconds is None else f"{row.shard_milliseconds:.1f}"
        lines.append(
            f"| {row.way} | {row.start_seconds:.1f} | {row.images_per_second:,} "
            f"| {row.images_per_second / plain:.2f} | {shard} | {row.bytes_per_image} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
