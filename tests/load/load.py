"""Generate images under load, and compare every result with one that was computed without load.

    python tests/load/load.py                           # ten minutes
    python tests/load/load.py --minutes 1 --threads 64

Four scenarios: 16 threads share one generator; a signal handler, forked processes and threads use
one generator; 64 commands run at once; and commands run with little memory. The counts are printed
as JSON. The exit code is 1 if anything was wrong.
"""

import argparse
import faulthandler
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from cgan_runtime import CganError, ImageGenerator
from cgan_runtime.model_file.contract import MAX_BATCH

SCRIPT = Path(sys.executable).with_name("cgan-run")
CALLS = 240  # different calls
INTERVAL = 0.005  # seconds between two signals
SIGNAL_SHARE = 0.2  # of the time that the threads take
CHILD_CALLS = 4
KINDS_OF_CALLERS = 4  # main thread, other threads, signal handler, child
DEADLOCK_SECONDS = 180  # a longer call counts as a deadlock
WARM_UP = 0.25  # share of the time in which memory may grow, as each thread meets a large batch
MAX_GROWTH = 32  # megabytes, after the warm-up
MEGABYTE = 2**20
MIN_LIMIT, MAX_LIMIT = 64, 512  # megabytes of address space
TO_STDOUT = ("--format", "npy", "--output", "-")


class Call(NamedTuple):
    """A call of a generator."""

    kind: str
    images: int
    generate: Callable[[ImageGenerator], list[Any]]  # uint8 [n, 1, height, width] each


@dataclass
class Record:
    """The calls of one thread, and what was wrong with their results."""

    calls: Counter[str] = field(default_factory=Counter)
    images: int = 0
    longest: float = 0.0  # seconds
    wrong: list[str] = field(default_factory=list)


def make_call(source: random.Random, kind: int) -> Call:
    """Return a call of one of eight kinds with random arguments of all sizes."""
    bits = source.getrandbits
    seed = source.choice([0, 1, bits(32), bits(64), 2**64 - 1])
    start = source.choice([0, source.randrange(100), bits(40), 2**63 - 10_000])
    origin: dict[str, Any] = {"seed": seed, "start": start}
    longest = (1, 80, 40, source.choice([2, 64, MAX_BATCH + 100]), 50, 12, 12, 9)[kind]
    labels = [source.randrange(10) for _ in range(source.randint(1, longest))]
    count, size = source.randint(1, 100), source.choice([1, 7, 64, MAX_BATCH])

    names = [str(label) for label in labels]
    calls = (
        Call("single image", 1, lambda model: [model.generate(labels[0], **origin)]),
        Call(
            "one after another",  # the noise of the next images is generated ahead
            len(labels),
            lambda model: [
                model.generate([label], seed=seed, start=start + index)
                for index, label in enumerate(labels)
            ],
        ),
        Call(
            "alternating seeds",
            2 * len(labels),
            lambda model: [
                model.generate(label, seed=each, start=index)
                for index, label in enumerate(labels)
                for each in (seed, seed ^ 1)
            ],
        ),
        Call("batch", len(labels), lambda model: [model.generate(labels, **origin)]),
        Call("class names", len(names), lambda model: [model.generate(names, **origin)]),
        Call(
            "stream",
            count * len(labels),
            lambda model: [
                batch.images
                for batch in model.stream(labels, count=count, batch_size=size, **origin)
            ],
        ),
        Call(
            "stream that is left",
            33,
            lambda model: [next(model.stream(labels, count=800, batch_size=33, **origin)).images],
        ),
        Call("refused", 0, lambda model: [model.generate([*labels, 10], **origin)]),
    )
    return calls[kind]


def run_call(call: Call, generator: ImageGenerator) -> bytes:
    """Return the bytes of the images, or of the error message."""
    try:
        return b"".join(images.tobytes() for images in call.generate(generator))
    except CganError as error:
        return repr(error).encode()


def make_calls() -> tuple[list[Call], list[bytes]]:
    """Return calls of all kinds, and what they return without load."""
    source = random.Random(1)
    calls = [make_call(source, number % 8) for number in range(CALLS)]
    with ImageGenerator(provider="cpu", threads=1) as generator:
        return calls, [run_call(call, generator) for call in calls]


def share_a_generator(threads: int, seconds: float) -> dict[str, Any]:
    """Call one generator from many threads."""
    calls, expected = make_calls()
    records = [Record() for _ in range(threads)]
    begin = time.monotonic()
    end, last_results = begin + seconds, [begin] * threads

    def work(thread: int) -> None:
        source, record = random.Random(thread), records[thread]
        try:
            while time.monotonic() < end and not record.wrong:
                number = source.randrange(CALLS)
                call, call_begin = calls[number], time.monotonic()
                if run_call(call, generator) != expected[number]:
                    record.wrong.append(f"{call.kind}, call {number}: unexpected images")
                last_results[thread] = time.monotonic()
                record.calls[call.kind] += 1
                record.images += call.images
                record.longest = max(record.longest, last_results[thread] - call_begin)
        except Exception as error:  # noqa: BLE001 - every error is reported
            record.wrong.append(f"{type(error).__name__}: {error}")

    with ImageGenerator(provider="cpu") as generator:
        workers = [Thread(target=work, args=(each,), daemon=True) for each in range(threads)]
        for worker in workers:
            worker.start()
        warm, peak = 0.0, 0.0
        while running := [each for each in range(threads) if workers[each].is_alive()]:
            time.sleep(0.05)
            peak = max(peak, memory())
            if not warm and time.monotonic() > begin + WARM_UP * seconds:
                warm = memory()
            if time.monotonic() - min(last_results[each] for each in running) > DEADLOCK_SECONDS:
                faulthandler.dump_traceback(all_threads=True)
                print(f"WRONG: a call takes more than {DEADLOCK_SECONDS} seconds", file=sys.stderr)
                os._exit(1)
        final = memory()
    wrong = [line for record in records for line in record.wrong]
    if final - warm > MAX_GROWTH:
        wrong.append(f"memory grew from {warm:.0f} MB to {final:.0f} MB")
    return {
        "threads": threads,
        "seconds": round(seconds, 1),
        "calls": dict(sum((record.calls for record in records), Counter())),
        "images": sum(record.images for record in records),
        "longest_call_seconds": round(max(record.longest for record in records), 2),
        "megabytes": {"warm": round(warm, 1), "most": round(peak, 1), "end": round(final, 1)},
        "wrong": wrong,
    }


class Interruptions:
    """Calls of one generator by threads, a signal handler and forked processes."""

    def __init__(self, generator: ImageGenerator) -> None:
        self.generator = generator
        self.calls, self.expected = make_calls()
        self.counts, self.wrong = Counter[str](), list[str]()

    def check(self, where: str, source: random.Random) -> None:
        number = source.randrange(CALLS)
        if run_call(self.calls[number], self.generator) != self.expected[number]:
            self.wrong.append(f"{where}, call {number}: unexpected images")
        self.counts[where] += 1

    def handle_signal(self, *_: object) -> None:
        self.check("signal handler", random.Random(self.counts["signal handler"]))
        signal.setitimer(signal.ITIMER_REAL, INTERVAL)

    def fork(self) -> None:
        child = os.fork()
        if not child:
            for seed in range(CHILD_CALLS):
                self.check("child", random.Random(seed + self.counts["child"]))
            sys.exit(bool(self.wrong))  # destroys the objects of this process
        limit = time.monotonic() + DEADLOCK_SECONDS
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > limit:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
        if ended[1]:
            self.wrong.append(f"a child ended with status {ended[1]}")
        self.counts["child"] += CHILD_CALLS


def interrupt_and_fork(threads: int, seconds: float) -> dict[str, Any]:
    """Generate in a signal handler and in forked processes while the same generator is in use."""
    source, stop = random.Random(threads), Event()

    def work(thread: int) -> None:
        own_source = random.Random(thread)
        while not stop.is_set():
            case.check("thread", own_source)

    # A session with several threads, which a child lacks.
    with ImageGenerator(provider="cpu", threads=max(2, os.cpu_count() or 1)) as generator:
        case = Interruptions(generator)
        workers = [Thread(target=work, args=(each,), daemon=True) for each in range(threads)]
        for worker in workers:
            worker.start()
        previous = signal.signal(signal.SIGALRM, case.handle_signal)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL)
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(case.counts) < KINDS_OF_CALLERS:
            case.check("main thread", source)
            if case.counts["main thread"] % 8 == 0:
                case.fork()
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # a late handler would set the timer again
        signal.setitimer(signal.ITIMER_REAL, 0)
        stop.set()
        for worker in workers:
            worker.join()
        signal.signal(signal.SIGALRM, previous)
    return {"calls": dict(case.counts), "wrong": case.wrong}


def memory() -> float:
    """Return the resident memory of this process in megabytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MEGABYTE


def run_commands_at_once(count: int) -> dict[str, Any]:
    """Start commands with different seeds at once, and wait for all of them."""
    line = [str(SCRIPT), "--digits", "31", "--count", "5", *TO_STDOUT, "--seed"]
    processes = [
        subprocess.Popen([*line, str(seed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for seed in range(count)
    ]
    wrong = []
    with ImageGenerator(provider="cpu", threads=1) as generator:
        for seed, process in enumerate(processes):
            stdout, stderr = process.communicate(timeout=600)
            if stderr or process.returncode:
                wrong.append(f"seed {seed} exited with {process.returncode}: {stderr[-300:]!r}")
            elif not stdout.endswith(generator.generate([3, 1] * 5, seed=seed).tobytes()):
                wrong.append(f"seed {seed}: unexpected images")
    return {"commands": count, "wrong": wrong}


def run_with_memory_limit(megabytes: int, expected: bytes) -> str:
    """Run a command with limited address space; return "generated", "refused" or what was wrong."""

    def set_limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * MEGABYTE,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        done = subprocess.run(
            [SCRIPT, "--digits", "2026", "--count", "3", "--seed", "7", *TO_STDOUT],
            cwd=folder,
            preexec_fn=set_limits,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=300,
        )
        files = [*Path(folder).iterdir()]
    if not files and done.returncode == 0 and not done.stderr and done.stdout.endswith(expected):
        return "generated"
    one_line = done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1
    if not files and done.returncode == 1 and one_line and not done.stdout:
        return "refused"
    return f"{megabytes} MB: exit code {done.returncode}, {done.stderr[-500:]!r}, files {files}"


def limit_memory(step: int) -> dict[str, Any]:
    """Run commands with increasing limits on their address space."""
    with ImageGenerator(provider="cpu", threads=1) as generator:
        expected = generator.generate([2, 0, 2, 6] * 3, seed=7).tobytes()
    outcomes = {
        str(limit): run_with_memory_limit(limit, expected)
        for limit in range(MIN_LIMIT, MAX_LIMIT + 1, step)
    }
    wrong = [each for each in outcomes.values() if each not in ("generated", "refused")]
    return {**outcomes, "wrong": wrong}


def main() -> None:
    """Run the scenarios, and print a summary."""
    parser = argparse.ArgumentParser(description="Generate images under load; check every result.")
    parser.add_argument("--minutes", type=float, default=10.0, help="duration of the threads")
    parser.add_argument("--threads", type=int, default=16, help="threads that share a generator")
    parser.add_argument("--commands", type=int, default=64, help="commands started at once")
    parser.add_argument("--every", type=int, default=32, help="megabytes between memory limits")
    parser.add_argument("--summary", type=Path, help="also write the summary to this file")
    options = parser.parse_args()
    limits = limit_memory(options.every)  # first: it forks, which is safer without other threads
    summary = {
        "one generator": share_a_generator(options.threads, options.minutes * 60),
        "signals and forks": interrupt_and_fork(2, options.minutes * 60 * SIGNAL_SHARE),
        "at once": run_commands_at_once(options.commands),
        "megabytes of address space": limits,
    }
    text = json.dumps(summary, indent=2)
    print(text)
    if options.summary is not None:
        options.summary.parent.mkdir(parents=True, exist_ok=True)
        options.summary.write_text(f"{text}\n")
    sys.exit(1 if any(part["wrong"] for part in summary.values()) else 0)


if __name__ == "__main__":
    main()
