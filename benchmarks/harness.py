"""What all benchmarks share: fair rounds, what the machine is, a line of history, a page.

Rounds are interleaved: in each, everything that is compared has a turn, in an order of its own.
What slows the machine then slows all alike, and ratios are taken within a round. pyperf, the usual
tool, measures one thing to its end before the next, so that a machine's drift falls on one of
them; that is why the rounds are ours.
"""

import gc
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_runtime.inference.threads import available_threads

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
HISTORY, PAGES = ROOT / "benchmarks" / "history", ROOT / "docs" / "benchmarks"
MODELS = ROOT / "benchmarks" / "models"  # the judge of all figures lies there too
DRAWS = 4  # sets of images that a quality is the mean of: one differs too much from the next
DISTRIBUTIONS = (  # whose versions are recorded, where they are installed
    "cgan-runtime",
    "numpy",
    "onnxruntime",
    "torch",
    "openvino",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "ncnn",
)
FEATURES = {  # as /proc/cpuinfo spells what matters to products of matrices
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "bf16",
    "amx_int8": "AMX",
    "asimd": "NEON",
    "asimddp": "dot products",
    "i8mm": "int8 products",
    "sve": "SVE",
}
WATCHED = 1.0  # seconds
MOST_BUSY = 0.1  # share of the CPUs that others may take
SETTLE = 0.004  # seconds in which threads that spin for more work go to sleep


@dataclass
class Timing:
    """What a call took, a number a round: seconds of wall time, and of CPU time of all threads."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Wall seconds."""
        return statistics.median(self.wall)

    @property
    def median_cpu(self) -> float:
        """CPU seconds."""
        return statistics.median(self.cpu)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between which the middle half of the rounds lies, in wall seconds."""
        if len(self.wall) < 2:
            return self.wall[0], self.wall[0]
        low, _, high = statistics.quantiles(self.wall, n=4, method="inclusive")
        return low, high

    def ratio(self, base: "Timing") -> float:
        """How many times as fast as the base: the median of each round's own ratio."""
        return statistics.median(b / a for a, b in zip(self.wall, base.wall, strict=True))

    def ratio_cpu(self, base: "Timing") -> float:
        """The same of CPU time, which what else runs on the machine hardly touches."""
        return statistics.median(b / a for a, b in zip(self.cpu, base.cpu, strict=True))

    def seconds(self, threads: int) -> float:
        """What a call takes: on one thread CPU time, as the clock shows it on an idle machine."""
        return self.median_cpu if threads == 1 else self.median

    def facts(self, base: "Timing | None" = None) -> dict[str, float]:
        """Return what history keeps, in microseconds."""
        low, high = self.quartiles
        found = {
            "wall_us": self.median * 1e6,
            "wall_low_us": low * 1e6,
            "wall_high_us": high * 1e6,
            "cpu_us": self.median_cpu * 1e6,
        }
        if base is not None:
            found |= {"ratio": self.ratio(base), "ratio_cpu": self.ratio_cpu(base)}
        return {name: float(f"{value:.5g}") for name, value in found.items()}


def interleaved(
    calls: Mapping[str, Callable[[], object]], rounds: int, seconds: float, settle: float = 0.0
) -> dict[str, Timing]:
    """Time calls in rounds, each in every round.

    Args:
        calls: what to time, by name. Each runs before, to warm up, and where a turn has several
            calls, once before each turn.
        rounds: that count.
        seconds: of a turn, about; a call that takes longer has one call a turn.
        settle: seconds to wait before each turn.

    Returns:
        For each name what a single call took, a number a round.
    """
    repeats = {name: _repeats(call, seconds) for name, call in calls.items()}
    found = {name: Timing() for name in calls}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(calls), len(calls)):
            if settle:
                time.sleep(settle)
            if repeats[name] > 1:
                calls[name]()
            wall, cpu = _turn(calls[name], repeats[name])
            found[name].wall.append(wall)
            found[name].cpu.append(cpu)
    return found


def _repeats(call: Callable[[], object], seconds: float) -> int:
    """Return how many calls fill so many seconds, after it has warmed up."""
    call()
    calls = 1
    while True:
        wall, _ = _turn(call, calls)
        if wall * calls > seconds / 4:
            return max(1, round(seconds / wall))
        calls *= 2


def _turn(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return wall and CPU seconds of one call, the mean of so many in a row."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        turns = range(repeats)
        began, began_cpu = time.perf_counter(), time.process_time()
        for _ in turns:
            call()
        cpu, wall = time.process_time() - began_cpu, time.perf_counter() - began
    finally:
        if collecting:
            gc.enable()
    return wall / repeats, max(cpu / repeats, 1e-12)


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Keep this process and what it starts on its first CPUs, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:threads]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def thread_counts() -> tuple[list[int], dict[str, str]]:
    """Return one thread and all, and what is missing of these and why.

    Threads that wait for each other crawl where others take their CPUs: on a busy machine the clock
    would say nothing of them. CPU time of one thread stands that.
    """
    most, busy = available_threads(), busy_share()
    if most > 1 and busy > MOST_BUSY:
        return [1], {
            f"{most} threads": f"others took {busy:.0%} of the CPUs, so that the clock would say "
            "nothing; measure again on an idle machine"
        }
    return sorted({1, most}), {}


def busy_share() -> float:
    """Return what share of the CPUs others take, 0 .. 1: watches for a second."""
    idle = []
    for _ in range(2):
        try:
            fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        except OSError:
            return 0.0  # no telling here
        idle.append((int(fields[3]) + int(fields[4]), sum(map(int, fields[:8]))))
        if len(idle) < 2:
            time.sleep(WATCHED)
    (was_idle, before), (now_idle, now) = idle
    return 1 - (now_idle - was_idle) / max(now - before, 1)


def machine() -> dict[str, Any]:
    """Return what the processor is, with nothing that tells whose machine it is."""
    name, flags = platform.processor() or platform.machine(), set()
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        if key.strip() in ("flags", "Features"):
            flags = set(value.split())
    return {
        "processor": name,
        "architecture": platform.machine(),
        "features": [word for flag, word in FEATURES.items() if flag in flags],
        "cpus": available_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the versions of what is installed of DISTRIBUTIONS."""
    installed = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    return {name: installed[name] for name in DISTRIBUTIONS if name in installed}


def record(
    question: str,
    rows: Any,
    *,
    quick: bool = False,
    missing: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Append a line to benchmarks/history/<question>.jsonl, and return what it holds.

    Args:
        question: its name.
        rows: what was measured: plain values.
        quick: whether it was the short form.
        missing: rivals that could not be measured, and why.
        settings: rounds, seconds and the like.
    """
    line = {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "quick": quick,
        "machine": machine(),
        "versions": versions(),
        "settings": dict(settings or {}),
        "missing": dict(missing or {}),
        "rows": rows,
    }
    HISTORY.mkdir(parents=True, exist_ok=True)
    with (HISTORY / f"{question}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return line


def _commit() -> str | None:
    """Return the commit, with a + where files that are under version control were changed."""
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [
                *git,
                "status",
                "--porcelain",
                "--untracked-files=no",
                "--",
                ".",
                ":!docs/benchmarks",
                ":!benchmarks/history",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def last_record(question: str, *, quick: bool = False) -> dict[str, Any] | None:
    """Return the newest line of a question's history, or None."""
    path = HISTORY / f"{question}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [line for line in map(json.loads, lines) if line["quick"] is quick]
    return found[-1] if found else None


def named_paths(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    """Split arguments of the form NAME=PATH; a click callback."""
    pairs = [value.rpartition("=") for value in values]
    if not all(name and path for name, _, path in pairs):
        raise click.BadParameter("write NAME=MODEL")
    return {name: Path(path) for name, _, path in pairs}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; columns but the first are set to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Return three digits that count, or the whole number."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def conditions(line: Mapping[str, Any]) -> str:
    """Return in words on what and with what a record was measured."""
    its = line["machine"]
    features = f" ({', '.join(its['features'])})" if its["features"] else ""
    packages = ", ".join(f"{name} {version}" for name, version in line["versions"].items())
    words = (
        f"Measured {line['time'][:10]} on {its['cpus']} CPUs of {its['processor']}{features}, "
        f"{its['system']}, Python {its['python']}, {packages}."
    )
    for rival, reason in line["missing"].items():
        words += f"\n\n**Missing: {rival}**: {reason}"
    return words


def publish(
    question: str, line: Mapping[str, Any], text: str, figure: "Figure | None" = None
) -> str:
    """Write docs/benchmarks/<question>.md and .png, unless it was the short form.

    Args:
        question: its name.
        line: as record() returned it.
        text: Markdown with heading and tables.
        figure: the plot.

    Returns:
        The page.
    """
    picture = f"\n![{question}]({question}.png)\n" if figure is not None else ""
    page = f"{text.strip()}\n{picture}\n{conditions(line)}\n"
    if not line["quick"]:
        PAGES.mkdir(parents=True, exist_ok=True)
        (PAGES / f"{question}.md").write_text(page, encoding="utf-8")
        if figure is not None:
            figure.savefig(PAGES / f"{question}.png", dpi=100)
    return page
