"""What does it cost to start? Whole processes, side by side.

    make bench BENCH_FLAGS=start      (or: python benchmarks/start.py [--quick])

`cgan-run --digit 9` opens the model, draws, and writes a PNG; the packages beside it, which are of
its shape, an onnxruntime around a model, are only imported or asked for --help. `make bench` gives
each an environment of its own, whose size is what one installs.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import harness

from cgan_runtime.generator import SHIPPED_MODEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUESTION = "start"
ROUNDS, QUICK_ROUNDS = 11, 2
BASE = "import onnxruntime"
RUNTIME = harness.ROOT / ".venv-runtime"  # the wheel, as a device has it
NEIGHBOURS = harness.ROOT / ".venv-bench" / "neighbours"
TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel", "__pycache__")
NAIVE = f"""
import numpy, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession({str(SHIPPED_MODEL)!r})
noise = numpy.random.default_rng(0).standard_normal((1, 64)).astype("float32")
image = session.run(None, {{"noise": noise, "label": numpy.array([9])}})[0]
Image.fromarray(image[0, 0]).save("naive.png")
"""
# Linux counts memory of the process that starts another as the other's own; so a small one does.
WATCHER = """
import os, sys, time
nowhere = os.open(os.devnull, os.O_WRONLY)
quiet = [(os.POSIX_SPAWN_DUP2, nowhere, 1), (os.POSIX_SPAWN_DUP2, nowhere, 2)]
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - began
cpu = used.ru_utime + used.ru_stime
print([os.waitstatus_to_exitcode(status), wall, cpu, used.ru_maxrss])
"""

INTRODUCTION = """\
Whole processes, medians of interleaved rounds, one CPU. Ratios are of CPU time, to `import
onnxruntime`, which no program that draws with it can avoid. Memory is the most that the process
held; installed is what lies in its environment, without pip."""


@dataclass
class Process:
    """One that is measured."""

    command: list[str]
    place: Path | None = None  # its environment, where it has one of its own
    timing: harness.Timing = field(default_factory=harness.Timing)
    memory: float = 0.0  # MB at most


def processes() -> tuple[dict[str, Process], dict[str, str]]:
    """Return what to run, and what is missing and why."""
    python, missing = sys.executable, {}
    candidates = {
        "python": Process([python, "-c", "pass"]),
        "import numpy": Process([python, "-c", "import numpy"]),
        BASE: Process([python, "-c", BASE]),
        "a naive script": Process([python, "-c", NAIVE]),
    }
    run = RUNTIME / "bin" / "cgan-run"
    its_own = RUNTIME if run.exists() else None
    if its_own is None:
        run = Path(python).with_name("cgan-run")
    draw = [str(run), "--digit", "9", "--seed", "1", "--output", "nine.png"]
    candidates["cgan-run --digit 9"] = Process(draw, its_own)
    candidates["cgan-run --help"] = Process([str(run), "--help"], its_own)
    for package, module, script in (
        ("piper-tts", "piper", "piper"),
        ("rembg", "rembg", None),  # its command wants a web server installed
        ("fastembed", "fastembed", None),
    ):
        place = NEIGHBOURS / package
        if not place.exists():
            missing[package] = "it is not installed; make bench installs it where it can"
            continue
        of_it = {f"{package}: import {module}": ["python", "-c", f"import {module}"]}
        if script is not None:
            of_it[f"{package}: {script} --help"] = [script, "--help"]
        for name, (program, *rest) in of_it.items():
            candidates[name] = Process([str(place / "bin" / program), *rest], place)
    found = {}
    for name, process in candidates.items():
        failure = why_not(process)
        if failure is None:
            found[name] = process
        else:
            missing[name] = failure
    return found, missing


def why_not(process: Process) -> str | None:
    """Run it, which also warms the disk up, and return why it fails, or None."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                process.command, cwd=folder, capture_output=True, text=True, check=False
            )
    except OSError as error:
        return f"it cannot be run ({error.strerror})"
    return f"it fails ({done.stderr.strip()[-100:]})" if done.returncode else None


def measure(process: Process, folder: str) -> None:
    """Run it once more, and write down what it took."""
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", WATCHER, *process.command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    code, wall, cpu, memory = json.loads(done.stdout)
    if code:
        raise click.ClickException(f"{process.command} failed")
    process.timing.wall.append(wall)
    process.timing.cpu.append(cpu)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    process.memory = max(process.memory, memory * unit / 1e6)


def installed(place: Path) -> float:
    """Return the MB of an environment's packages, but for the tools that every environment has."""
    (packages,) = place.glob("lib/python*/site-packages")
    files = (
        path
        for path in packages.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not path.relative_to(packages).parts[0].split("-")[0].startswith(TOOLS)
    )
    return sum(path.stat().st_size for path in files) / 1e6


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds; no page.")
def main(quick: bool) -> None:
    """Measure, record and write the page."""
    found, missing = processes()
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder, harness.pinned(1):
        for process in list(found.values()) * rounds:  # in turns
            measure(process, folder)
    base = found[BASE].timing
    rows = [
        {
            "process": name,
            **process.timing.facts(base),
            "memory_mb": round(process.memory, 1),
            "installed_mb": round(installed(process.place), 1) if process.place else None,
        }
        for name, process in found.items()
    ]
    settings = {"rounds": rounds}
    line = harness.record(QUESTION, rows, quick=quick, missing=missing, settings=settings)
    click.echo(
        harness.publish(QUESTION, line, f"# Start\n\n{INTRODUCTION}\n\n{table(rows)}", plot(rows))
    )


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as Markdown."""
    lines = [
        [
            row["process"],
            f"{row['cpu_us'] / 1e3:.0f}",
            f"{1 / row['ratio_cpu']:.2f}",
            f"{row['wall_us'] / 1e3:.0f}",
            f"{row['memory_mb']:.0f}",
            "" if row["installed_mb"] is None else f"{row['installed_mb']:.0f}",
        ]
        for row in rows
    ]
    return harness.table(
        ["process", "CPU ms", "times the import", "wall ms", "memory MB", "installed MB"], lines
    )


def plot(rows: list[dict[str, Any]]) -> "Figure":
    """Return CPU time and memory as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5), layout="constrained")
    cpu, memory = figure.subplots(1, 2, sharey=True)
    names = [row["process"] for row in rows]
    colors = ["C1" if name.startswith("cgan") else "C0" for name in names]
    cpu.barh(names, [row["cpu_us"] / 1e3 for row in rows], color=colors)
    cpu.set(xlabel="CPU ms")
    memory.barh(names, [row["memory_mb"] for row in rows], color=colors)
    memory.set(xlabel="memory, MB")
    cpu.invert_yaxis()
    for axes in (cpu, memory):
        axes.grid(alpha=0.3, axis="x")
    return figure


if __name__ == "__main__":
    main()
