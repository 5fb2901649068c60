"""Plot the memory of `cgan-run` over time while it generates a million images.

    python benchmarks/memory.py                  # writes docs/benchmarks/memory.png and memory.json

Runs the installed command for every format that is written as a stream, and samples its resident
memory (VmRSS in /proc/PID/status, so Linux only).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_runtime.cli import runner

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("npy", "idx", "png")
COMMAND = Path(sys.executable).with_name("cgan-run")
SAMPLE_SECONDS = 0.05


@click.command()
@click.option("--count", type=click.IntRange(10), default=1_000_000, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="docs/benchmarks")
def main(count: int, output: Path) -> None:
    """Generate many images in each format and sample the memory."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        runs = {kind: sample_memory(kind, count, Path(folder)) for kind in FORMATS}
    output.mkdir(parents=True, exist_ok=True)
    for kind, run in runs.items():
        quarter = run["megabytes"][len(run["megabytes"]) // 4]
        end = run["megabytes"][-2]  # the process may already exit at the last sample
        click.echo(
            f"{kind}: {run['wall_seconds']:.1f} s, peak {max(run['megabytes']):.0f} MB, "
            f"{quarter:.0f} MB after a quarter of the run, {end:.0f} MB at the end"
        )
    result = {"images": count, "cpus": os.cpu_count(), "runs": runs}
    (output / "memory.json").write_text(json.dumps(result) + "\n")
    plot(result).savefig(output / "memory.png", dpi=100)


def sample_memory(kind: str, count: int, folder: Path) -> dict[str, Any]:
    """Run cgan-run with an output format, and return its memory over time."""
    path = folder / (kind if kind == "idx" else f"images.{kind}")
    count_per_digit = str(count // 10)
    arguments: list[str | Path] = ["--count", count_per_digit, "--seed", "1"]
    arguments += ["--format", kind, "--output", path]
    if kind == "png":
        arguments += ["--columns", "1000"]
    start, seconds, megabytes = time.monotonic(), [], []
    with subprocess.Popen([COMMAND, *arguments], stdout=subprocess.DEVNULL) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            if match := re.search(r"VmRSS:\s+(\d+) kB", status.read_text()):
                seconds.append(round(time.monotonic() - start, 2))
                megabytes.append(int(match[1]) / 1e3)
            time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise click.ClickException(
            f"{COMMAND.name} failed with exit code {process.returncode}; run it by hand"
        )
    return {"wall_seconds": time.monotonic() - start, "seconds": seconds, "megabytes": megabytes}


def plot(result: dict[str, Any]) -> "Figure":
    """Return a figure of resident memory over time, one curve per format."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for kind, run in result["runs"].items():
        axes.plot(run["seconds"], run["megabytes"], label=f"--format {kind}")
    title = f"{result['images']:,} images"
    axes.set(xlabel="seconds", ylabel="resident memory, MB", ylim=(0, None), title=title)
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    runner.run(main)
