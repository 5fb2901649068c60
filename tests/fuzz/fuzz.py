"""Feed thousands of damaged and hostile files to the commands.

    python tests/fuzz/fuzz.py onnx --count 20000        # cgan-run and cgan-check
    python tests/fuzz/fuzz.py model --count 20000       # cgan-export
    python tests/fuzz/fuzz.py checkpoint --count 20000  # cgan-train --resume
    python tests/fuzz/fuzz.py onnx --only 1234          # one of them again, with its traceback

Number i of a seed is always the same mutant. They run in worker processes, with a bound for CPU
time and memory each. Whatever is neither refused in a line nor right is listed at the end, and the
exit code is 1.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import prepare
from targets import TARGETS, WrongError

CPU_SECONDS = 30  # a mutant may take, its commands together
WALL_SECONDS = 300  # likewise, on a machine that has other things to do
MEGABYTES = 2560  # a mutant may add to what a worker that has fed a sound file uses
PER_WORKER = 2000  # mutants, then a new one
MOST_SHOWN = 20


def main() -> None:
    """Run mutants, or be one of the workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", choices=[*TARGETS])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--only", type=int, help="feed this one here, without bounds")
    parser.add_argument("--models", type=Path, help="sound files; made anew where left out")
    parser.add_argument("--summary", type=Path, help="add a line of JSON to this file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    if options.only is not None:
        print(feed_one(TARGETS[options.target](models_of(options)), options.seed, options.only))
        return
    sys.exit(supervise(options))


def models_of(options: argparse.Namespace) -> Path:
    if options.models is None:
        options.models = prepare.sound_files(options.target)
    return Path(options.models)


def feed_one(target: Any, seed: int, number: int) -> Any:
    return target.feed(Random(f"{seed} {number}"))


def work(options: argparse.Namespace) -> None:
    """Feed mutants one after the other, and say a line of each."""
    talk = os.fdopen(os.dup(1), "w")
    target = TARGETS[options.target](options.models)
    target.feed(Random("warm up"))
    memory = _peak_megabytes()
    for number in range(options.first, options.first + options.count):
        print(json.dumps({"begins": number}), file=talk, flush=True)
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = used.ru_utime + used.ru_stime
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + CPU_SECONDS, -1))
        _forget_peak()
        line: dict[str, Any] = {"number": number}
        try:
            line |= vars(feed_one(target, options.seed, number))
        except WrongError as error:
            line["wrong"] = str(error)
        except Exception:  # noqa: BLE001 - a fault of this harness is to be seen, too
            line["wrong"] = traceback.format_exc(limit=-3)
        after = resource.getrusage(resource.RUSAGE_SELF)
        line["seconds"] = round(after.ru_utime + after.ru_stime - seconds, 3)
        line["megabytes"] = round(_peak_megabytes() - memory)
        if line["megabytes"] > MEGABYTES:
            line.setdefault("wrong", f"it took {line['megabytes']} MB")
        print(json.dumps(line), file=talk, flush=True)


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def supervise(options: argparse.Namespace) -> int:
    """Start workers one after the other, and add up what they say."""
    models, began = models_of(options), time.perf_counter()
    lines: list[dict[str, Any]] = []
    next_number, end = options.first, options.first + options.count
    while next_number < end:
        some = min(PER_WORKER, end - next_number)
        command = [
            *(sys.executable, __file__, options.target, "--worker"),
            *("--models", str(models), "--seed", str(options.seed)),
            *("--first", str(next_number), "--count", str(some)),
        ]
        done = _lines_of(command)
        lines += done
        next_number = done[-1]["number"] + 1
        print(f"{next_number - options.first:,} of {options.count:,}", file=sys.stderr)
    wrong = [line for line in lines if "wrong" in line]
    fates = Counter(line.get("fate", "WRONG") for line in lines)
    summary = {
        "target": options.target,
        "seed": options.seed,
        "mutants": len(lines),
        **dict(sorted(fates.items())),
        "wrong": len(wrong),
        "most_cpu_seconds": max(line.get("seconds", 0) for line in lines),
        "most_megabytes": max(line.get("megabytes", 0) for line in lines),
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "by_kind": _by_kind(lines),
    }
    print(json.dumps(summary, indent=2))
    for line in wrong[:MOST_SHOWN]:
        again = f"{options.target} --seed {options.seed} --only {line['number']}"
        print(f"WRONG: {again}: {line['wrong']}")
    if options.summary is not None:
        with options.summary.open("a") as file:
            file.write(json.dumps(summary) + "\n")
    return 1 if wrong else 0


def _lines_of(command: list[str]) -> list[dict[str, Any]]:
    """Run a worker; where it dies, the mutant that killed it is the last line."""
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        current: int | None = None
        watch = prepare.Watch(worker, WALL_SECONDS)
        for text in worker.stdout:
            watch.alive()
            line = json.loads(text)
            if "begins" in line:
                current = line["begins"]
            else:
                lines.append(line)
                current = None
        watch.end()
        code = worker.wait()
    if current is not None:
        reason = "no end in sight" if watch.killed else f"the process ended with {code}"
        lines.append({"number": current, "wrong": reason})
    if not lines:
        sys.exit(f"error: a worker ended with {code} before its first mutant")
    return lines


def _by_kind(lines: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    kinds: dict[str, Counter[str]] = {}
    for line in lines:
        kinds.setdefault(line.get("kind", "?"), Counter())[line.get("fate", "WRONG")] += 1
    return {kind: dict(fates) for kind, fates in sorted(kinds.items())}


if __name__ == "__main__":
    main()
