"""What does it cost to start? Whole processes, side by side.

    python benchmarks/start.py --rounds 15

CPU time, wall time and peak memory of each process, medians of interleaved rounds; ratios are to
`import onnxruntime`, which no program that draws with it can avoid. Writes docs/start/: rows.json,
table.md.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from cgan_runtime.generator import SHIPPED_MODEL

BASE = "import onnxruntime"
NAIVE = f"""
import numpy, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession({str(SHIPPED_MODEL)!r})
noise = numpy.random.default_rng(0).standard_normal((1, 64)).astype("float32")
image = session.run(None, {{"noise": noise, "label": numpy.array([9])}})[0]
Image.fromarray(image[0, 0]).save("naive.png")
"""


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    cpu: float  # seconds
    wall: float  # seconds
    memory: float  # MB at most


def processes() -> dict[str, list[str]]:
    python = sys.executable
    run = str(Path(python).with_name("cgan-run"))
    return {
        "python": [python, "-c", "pass"],
        "import numpy": [python, "-c", "import numpy"],
        BASE: [python, "-c", BASE],
        "a naive script": [python, "-c", NAIVE],
        "cgan-run --digit 9": [run, "--digit", "9", "--seed", "1", "--output", "nine.png"],
        "cgan-run --help": [run, "--help"],
    }


def cost(command: list[str], folder: str) -> Cost:
    """Run a process and return what it took."""
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{command} failed")
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="docs/start")
def main(rounds: int, output: Path) -> None:
    """Measure, and write the table."""
    found: dict[str, list[Cost]] = {name: [] for name in processes()}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):  # the first warms the disk up
            for name, command in processes().items():
                spent = cost(command, folder)
                if number:
                    found[name].append(spent)
    middle = {
        name: Cost(
            statistics.median(each.cpu for each in costs),
            statistics.median(each.wall for each in costs),
            statistics.median(each.memory for each in costs),
        )
        for name, costs in found.items()
    }
    lines = ["| process | CPU ms | ratio | wall ms | MB |", "|---|---:|---:|---:|---:|"]
    for name, spent in middle.items():
        lines.append(
            f"| {name} | {spent.cpu * 1e3:.0f} | {spent.cpu / middle[BASE].cpu:.2f} "
            f"| {spent.wall * 1e3:.0f} | {spent.memory:.0f} |"
        )
    output.mkdir(parents=True, exist_ok=True)
    (output / "table.md").write_text("\n".join(lines) + "\n")
    rows = {name: vars(spent) for name, spent in middle.items()}
    (output / "rows.json").write_text(json.dumps(rows, indent=2) + "\n")
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
