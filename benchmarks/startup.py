"""Startup: what do whole processes cost, compared with similar packages?

    make bench BENCH_FLAGS=startup      (or: python benchmarks/startup.py [--quick])

`cgan-run --digit 9` opens the model, generates an image and writes a PNG. The comparable packages,
which also run a model with onnxruntime, are only imported or called with --help. `make bench`
installs each into its own environment, whose size is measured.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import harness

from cgan_runtime.model_file.reading import SHIPPED_MODEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BENCHMARK = "startup"
ROUNDS, QUICK_ROUNDS = 11, 2
BASE = "import onnxruntime"
RUNTIME = (
    harness.ROOT / ".venv-runtime"
)  # a virtual environment with the runtime only, as on a device
PACKAGES = (
    harness.ROOT / ".venv-bench" / "packages"
)  # contains a virtual environment for each package
TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel", "__pycache__")
MINIMAL_SCRIPT = f"""
import numpy, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession({str(SHIPPED_MODEL)!r})
noise = numpy.random.default_rng(0).standard_normal((1, 64)).astype("float32")
image = session.run(None, {{"noise": noise, "label": numpy.array([9])}})[0]
Image.fromarray(image[0, 0]).save("minimal.png")
"""
# On Linux the peak memory of a child includes that of its parent, so a small process starts it.
LAUNCHER = """
import os, sys, time
devnull = os.open(os.devnull, os.O_WRONLY)
quiet = [(os.POSIX_SPAWN_DUP2, devnull, 1), (os.POSIX_SPAWN_DUP2, devnull, 2)]
start = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - start
cpu = usage.ru_utime + usage.ru_stime
print([os.waitstatus_to_exitcode(status), wall, cpu, usage.ru_maxrss])
"""

INTRODUCTION = """\
The table shows medians of interleaved rounds of whole processes on one CPU. Ratios compare CPU time
with `import onnxruntime`, which every program that uses onnxruntime needs. Memory is the peak of
the process. The installed size is the size of the process's virtual environment, without pip."""


class Comparable(NamedTuple):
    """A command of a similar package."""

    package: str
    name: str
    program: str  # file in the folder bin of the package's environment
    arguments: tuple[str, ...]


COMPARABLE = (
    Comparable("piper-tts", "import piper", "python", ("-c", "import piper")),
    Comparable("piper-tts", "piper --help", "piper", ("--help",)),
    # The command of rembg needs an extra, so the package is only imported.
    Comparable("rembg", "import rembg", "python", ("-c", "import rembg")),
    Comparable("fastembed", "import fastembed", "python", ("-c", "import fastembed")),
)


@dataclass
class Process:
    """A command to measure, and its measurements."""

    command: list[str]
    environment: Path | None = None  # its own virtual environment, if it has one
    timing: harness.Timing = field(default_factory=harness.Timing)
    memory: float = 0.0  # peak memory in MB


def find_processes() -> tuple[dict[str, Process], dict[str, str]]:
    """Return the commands to measure by name, and the reasons for missing ones."""
    python = sys.executable
    candidates = {
        "python": Process([python, "-c", "pass"]),
        "import numpy": Process([python, "-c", "import numpy"]),
        BASE: Process([python, "-c", BASE]),
        "minimal script": Process([python, "-c", MINIMAL_SCRIPT]),
    }
    installed = (RUNTIME / "bin" / "cgan-run").exists()
    environment = RUNTIME if installed else None
    cgan_run = RUNTIME / "bin" / "cgan-run" if installed else Path(python).with_name("cgan-run")
    for name, arguments in (
        ("cgan-run --digit 9", ["--digit", "9", "--seed", "1", "--output", "nine.png"]),
        ("cgan-run --help", ["--help"]),
    ):
        candidates[name] = Process([str(cgan_run), *arguments], environment)
    packages = {}
    for package, title, program, options in COMPARABLE:
        path, name = PACKAGES / package, f"{package}: {title}"
        packages[name] = package
        candidates[name] = Process([str(path / "bin" / program), *options], path)
    processes, missing = {}, {}
    for name, process in candidates.items():
        failure = try_run(process)
        if failure is None:
            processes[name] = process
        else:
            missing[packages.get(name, name)] = failure
    return processes, missing


def try_run(process: Process) -> str | None:
    """Run a command once, which also fills the disk cache. Return why it failed, or None."""
    if process.environment is not None and not process.environment.exists():
        return "it is not installed; make bench installs it on supported platforms"
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                process.command, cwd=folder, capture_output=True, text=True, check=False
            )
    except OSError as error:
        return f"it cannot be run ({error.strerror})"
    return f"it fails ({done.stderr.strip()[-100:]})" if done.returncode else None


def measure(process: Process, folder: str) -> None:
    """Run a command and append the measurements to the process."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, *process.command],
        cwd=folder,
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    code, wall, cpu, memory = json.loads(done.stdout)
    if code:
        raise click.ClickException(f"{process.command} failed with exit code {code}")
    process.timing.wall.append(wall)
    process.timing.cpu.append(cpu)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes per unit of ru_maxrss
    process.memory = max(process.memory, memory * unit / 1e6)


def installed_megabytes(environment: Path) -> float:
    """Return the size of an environment's packages, without TOOLS, which all environments have."""
    (packages,) = environment.glob("lib/python*/site-packages")
    files = (
        path
        for path in packages.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not path.relative_to(packages).parts[0].split("-")[0].startswith(TOOLS)
    )
    return sum(path.stat().st_size for path in files) / 1e6


@click.command()
@click.option("--quick", is_flag=True, help="Use fewer rounds; write no page.")
def main(quick: bool) -> None:
    """Measure, record and write the page."""
    processes, missing = find_processes()
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder, harness.pinned_cpus(1):
        for process in list(processes.values()) * rounds:  # each command runs once per round
            measure(process, folder)
    base = processes[BASE].timing
    rows = [
        {
            "process": name,
            **process.timing.summary(base),
            "memory_mb": round(process.memory, 1),
            "installed_mb": (
                round(installed_megabytes(process.environment), 1) if process.environment else None
            ),
        }
        for name, process in processes.items()
    ]
    settings = {"rounds": rounds}
    record = harness.append_record(BENCHMARK, rows, quick=quick, missing=missing, settings=settings)
    click.echo(harness.publish(BENCHMARK, record, page(rows), plot(rows)))


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page's Markdown."""
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
    head = ["process", "CPU ms", "ratio to the import", "wall ms", "memory MB", "installed MB"]
    return f"# Startup\n\n{INTRODUCTION}\n\n{harness.table(head, lines)}"


def plot(rows: list[dict[str, Any]]) -> "Figure":
    """Return a bar chart of CPU time and memory."""
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
