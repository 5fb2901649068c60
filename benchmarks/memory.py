"""Does a bulk run's memory grow? A million images with `cgan-run`, its memory sampled.

    python benchmarks/memory.py                  # into docs/benchmarks/memory.png and memory.json

Runs the installed command for every format that streams, and reads the memory that the kernel says
it holds (VmRSS of /proc/PID/status, so Linux alone).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from matplotlib.figure import Figure

from cgan_runtime.cli import conventions
from cgan_training.errors import TrainingError

FORMATS = ("npy", "idx", "png")
COMMAND = Path(sys.executable).with_name("cgan-run")
SECONDS = 0.05  # between two looks


@click.command()
@click.option("--count", type=click.IntRange(10), default=1_000_000, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="docs/benchmarks")
def main(count: int, output: Path) -> None:
    """Draw many images in each format and watch the memory."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        runs = {kind: watched(kind, count, Path(folder)) for kind in FORMATS}
    output.mkdir(parents=True, exist_ok=True)
    for kind, run in runs.items():
        early, late = run["megabytes"][len(run["megabytes"]) // 4], run["megabytes"][-2]
        click.echo(
            f"{kind}: {run['wall_seconds']:.1f} s, at most {max(run['megabytes']):.0f} MB; "
            f"{early:.0f} MB after a quarter, {late:.0f} MB at the end"
        )
    result = {"images": count, "cpus": os.cpu_count(), "runs": runs}
    (output / "memory.json").write_text(json.dumps(result) + "\n")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for kind, run in runs.items():
        axes.plot(run["seconds"], run["megabytes"], label=f"--format {kind}")
    axes.set(
        xlabel="seconds", ylabel="resident memory, MB", ylim=(0, None), title=f"{count:,} images"
    )
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(output / "memory.png", dpi=100)


def watched(kind: str, count: int, folder: Path) -> dict[str, Any]:
    """Run the command and return its memory over time."""
    place = folder / (kind if kind == "idx" else f"images.{kind}")
    arguments: list[str | Path] = ["--count", str(count // 10), "--seed", "1", "--format", kind]
    arguments += ["--output", place]
    if kind == "png":
        arguments += ["--columns", "1000"]
    began, seconds, megabytes = time.monotonic(), [], []
    with subprocess.Popen([COMMAND, *arguments], stdout=subprocess.DEVNULL) as running:
        status = Path(f"/proc/{running.pid}/status")
        while running.poll() is None:
            if found := re.search(r"VmRSS:\s+(\d+) kB", status.read_text()):
                seconds.append(round(time.monotonic() - began, 2))
                megabytes.append(int(found[1]) / 1e3)
            time.sleep(SECONDS)
    if running.returncode:
        raise TrainingError(f"{COMMAND.name} failed with {running.returncode}; run it by hand")
    return {
        "wall_seconds": time.monotonic() - began,
        "seconds": seconds,
        "megabytes": megabytes,
    }


if __name__ == "__main__":
    conventions.run(main)
