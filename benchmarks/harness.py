"""Shared parts of the benchmarks: interleaved timing, machine facts, history and pages.

Timings are taken in interleaved rounds: every call under comparison runs once per round, in random
order. Whatever slows the machine then slows all of them, and ratios are taken within a round.
pyperf, the usual tool, finishes one measurement before it starts the next, so slow drift of the
machine would distort the comparison.
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
MODELS = ROOT / "benchmarks" / "models"  # models and evaluation classifiers of the benchmarks
IMAGE_SETS = 4  # sets per quality metric, because the metrics of single sets vary too much
MEASUREMENT_SECONDS = 0.02  # approximate length of one timing measurement
DISTRIBUTIONS = (  # packages whose versions are recorded if they are installed
    "cgan-runtime",
    "numpy",
    "onnxruntime",
    "torch",
    "openvino",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "ncnn",
)
CPU_FEATURES = {  # flags in /proc/cpuinfo that affect matrix multiplication, and their usual names
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "bf16",
    "amx_int8": "AMX",
    "asimd": "NEON",
    "asimddp": "dot product",
    "i8mm": "int8 matmul",
    "sve": "SVE",
}
BUSY_CHECK_SECONDS = 1.0
MAX_BUSY_SHARE = 0.1  # largest share of all CPUs that other programs may use
SETTLE_SECONDS = 0.004  # time within which spinning worker threads go to sleep


@dataclass
class Timing:
    """Wall time and CPU time of all threads in seconds per call, one value per round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def seconds(self, threads: int) -> float:
        """Return the median CPU time for one thread, and the median wall time for several.

        On an idle machine one thread's CPU time equals its wall time.
        """
        return statistics.median(self.cpu if threads == 1 else self.wall)

    def summary(self, base: "Timing | None" = None) -> dict[str, float]:
        """Return the values that the history keeps.

        These are the medians of wall and CPU time, and the quartiles of the wall time, in
        microseconds. With a base, `ratio` and `ratio_cpu` are the speedups over the base in wall
        and CPU time: the medians of the ratios within a round.
        """
        wall = self.wall * 2 if len(self.wall) == 1 else self.wall
        low, middle, high = statistics.quantiles(wall, n=4, method="inclusive")
        values = {
            "wall_us": middle * 1e6,
            "wall_low_us": low * 1e6,
            "wall_high_us": high * 1e6,
            "cpu_us": statistics.median(self.cpu) * 1e6,
        }
        if base is not None:
            values["ratio"] = _median_speedup(self.wall, base.wall)
            values["ratio_cpu"] = _median_speedup(self.cpu, base.cpu)
        return {name: float(f"{value:.5g}") for name, value in values.items()}


def _median_speedup(seconds: Sequence[float], base_seconds: Sequence[float]) -> float:
    return statistics.median(b / a for a, b in zip(seconds, base_seconds, strict=True))


def time_interleaved(
    calls: Mapping[str, Callable[[], object]], rounds: int, seconds: float, settle: float = 0.0
) -> dict[str, Timing]:
    """Time calls in interleaved rounds.

    Args:
        calls: the functions to time, by name. Each is warmed up before the first round, and again
            before each measurement that consists of several calls.
        rounds: number of rounds.
        seconds: approximate length of one measurement. A slower call is made only once.
        settle: seconds to wait before each measurement.

    Returns:
        The timing of each call by name.
    """
    repeats = {name: _calls_per_measurement(call, seconds) for name, call in calls.items()}
    timings = {name: Timing() for name in calls}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(calls), len(calls)):
            if settle:
                time.sleep(settle)
            if repeats[name] > 1:
                calls[name]()
            wall, cpu = _time_calls(calls[name], repeats[name])
            timings[name].wall.append(wall)
            timings[name].cpu.append(cpu)
    return timings


def _calls_per_measurement(call: Callable[[], object], seconds: float) -> int:
    """Warm up a call, and return how many calls take about this many seconds."""
    call()
    calls = 1
    while True:
        wall, _ = _time_calls(call, calls)
        if wall * calls > seconds / 4:
            return max(1, round(seconds / wall))
        calls *= 2


def _time_calls(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the mean wall and CPU seconds of one call."""
    gc_was_enabled = gc.isenabled()
    gc.disable()
    try:
        loop = range(repeats)
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        for _ in loop:
            call()
        cpu, wall = time.process_time() - cpu_start, time.perf_counter() - wall_start
    finally:
        if gc_was_enabled:
            gc.enable()
    return wall / repeats, max(cpu / repeats, 1e-12)


@contextmanager
def pinned_cpus(count: int) -> Iterator[None]:
    """Restrict this process and its children to the first CPUs, where the system supports it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:count]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def thread_counts() -> tuple[list[int], dict[str, str]]:
    """Return the thread counts to measure (one and all), and the reasons for omitted counts.

    Threads that wait for each other become very slow when other programs use their CPUs, so on a
    busy machine only one thread is measured: its CPU time stays meaningful.
    """
    cpus, busy = available_threads(), busy_share()
    if cpus > 1 and busy > MAX_BUSY_SHARE:
        return [1], {
            f"{cpus} threads": f"other programs used {busy:.0%} of the CPUs, so wall-clock times "
            "would mean nothing; measure again on an idle machine"
        }
    return sorted({1, cpus}), {}


def busy_share() -> float:
    """Measure for a second which share of all CPUs other programs use, 0..1."""
    samples = []
    for _ in range(2):
        try:
            fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        except OSError:
            return 0.0  # this system does not report the share
        samples.append((int(fields[3]) + int(fields[4]), sum(map(int, fields[:8]))))
        if len(samples) < 2:
            time.sleep(BUSY_CHECK_SECONDS)
    (idle_before, total_before), (idle, total) = samples
    return 1 - (idle - idle_before) / max(total - total_before, 1)


def machine() -> dict[str, Any]:
    """Return a description of the processor and system, without anything personal."""
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
        "features": [feature for flag, feature in CPU_FEATURES.items() if flag in flags],
        "cpus": available_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def environment_with_threads(threads: int) -> dict[str, str]:
    """Return this process's environment with a thread limit for numerical libraries."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return os.environ | dict.fromkeys(names, str(threads)) | {"ORT_DISABLE_TELEMETRY": "1"}


def append_record(
    benchmark: str,
    rows: Any,
    *,
    quick: bool = False,
    missing: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Append a record to benchmarks/history/<benchmark>.jsonl, and return it.

    Args:
        benchmark: name of the benchmark.
        rows: the measurements, as plain values.
        quick: whether this was a quick run.
        missing: the reason for each part that could not be measured.
        settings: parameters of the measurement, such as the number of rounds.
    """
    installed = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    record = {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "quick": quick,
        "machine": machine(),
        "versions": {name: installed[name] for name in DISTRIBUTIONS if name in installed},
        "settings": dict(settings or {}),
        "missing": dict(missing or {}),
        "rows": rows,
    }
    HISTORY.mkdir(parents=True, exist_ok=True)
    with (HISTORY / f"{benchmark}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return record


def _commit() -> str | None:
    """Return the current commit; a trailing + marks uncommitted changes outside the results."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    results = [":!docs/benchmarks", ":!benchmarks/history"]
    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *results)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def last_record(benchmark: str, *, quick: bool = False) -> dict[str, Any] | None:
    """Return the newest record of a benchmark, or None."""
    path = HISTORY / f"{benchmark}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = [record for record in map(json.loads, lines) if record["quick"] is quick]
    return records[-1] if records else None


def last_inference(*, quick: bool) -> dict[str, Any]:
    """Return the newest record of inference timings, which must be of this machine.

    Raises:
        click.ClickException: there is no record, or it is of another machine.
    """
    record = last_record("inference", quick=quick)
    if record is None or record["machine"] != machine():
        raise click.ClickException(
            "the history has no inference timings, or its newest ones are of another machine; "
            "run benchmarks/inference.py"
        )
    return record


def named_paths(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    """Split arguments of the form NAME=MODEL; a click callback."""
    pairs = {value: value.rpartition("=") for value in values}
    for value, (name, _, path) in pairs.items():
        if not name or not path:
            raise click.BadParameter(f"{value!r} is not of the form NAME=MODEL; add the name")
    return {name: Path(path) for name, _, path in pairs.values()}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table. All columns but the first are right-aligned."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def conditions(record: Mapping[str, Any]) -> str:
    """Return sentences on the machine and the versions of a record, and on missing parts."""
    host = record["machine"]
    features = f" ({', '.join(host['features'])})" if host["features"] else ""
    packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    text = (
        f"Measured {record['time'][:10]} on {host['cpus']} CPUs of {host['processor']}{features}, "
        f"{host['system']}, Python {host['python']}, {packages}."
    )
    for name, reason in record["missing"].items():
        text += f"\n\n**Missing: {name}**: {reason}."
    return text


def publish(
    benchmark: str, record: Mapping[str, Any], text: str, figure: "Figure | None" = None
) -> str:
    """Write docs/benchmarks/<benchmark>.md and .png, except after a quick run.

    Args:
        benchmark: name of the benchmark.
        record: the record that append_record() returned.
        text: Markdown with heading and tables.
        figure: the plot.

    Returns:
        The Markdown of the page.
    """
    picture = f"\n![{benchmark}]({benchmark}.png)\n" if figure is not None else ""
    page = f"{text.strip()}\n{picture}\n{conditions(record)}\n"
    if not record["quick"]:
        PAGES.mkdir(parents=True, exist_ok=True)
        (PAGES / f"{benchmark}.md").write_text(page, encoding="utf-8")
        if figure is not None:
            figure.savefig(PAGES / f"{benchmark}.png", dpi=100)
    return page
