"""Feed thousands of damaged and hostile files to the commands.

    python tests/fuzz/fuzz.py onnx --count 20000        # cgan-run and cgan-check
    python tests/fuzz/fuzz.py model --count 20000       # cgan-export
    python tests/fuzz/fuzz.py checkpoint --count 20000  # cgan-train --resume
    python tests/fuzz/fuzz.py onnx --only 1234          # one mutant, with its traceback

A seed and a number always give the same mutant. Worker processes feed the mutants, each with a
limit of CPU time and memory. A command must refuse a mutant with one error line or give correct
results. Failures are listed at the end, and then the exit code is 1.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import prepare
from targets import TARGETS, CheckError

CPU_SECONDS = 30  # limit per mutant, for all its commands
WALL_SECONDS = 300  # limit per mutant; high, for busy machines
MAX_MEGABYTES = 2560  # per mutant, above the memory of a worker that has read a valid file
MUTANTS_PER_WORKER = 2000
MAX_LISTED = 20


def main() -> None:
    """Run the fuzzer, or a worker of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", choices=[*TARGETS])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--only", type=int, help="feed only this mutant, without limits")
    parser.add_argument("--models", type=Path, help="valid files; created if not given")
    parser.add_argument("--summary", type=Path, help="append a line of JSON to this file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.models = options.models or prepare.create_valid_files(options.target)
    if options.worker:
        work(options)
    elif options.only is not None:
        target = TARGETS[options.target](options.models)
        print(target.feed(Random(f"{options.seed} {options.only}")))
    else:
        sys.exit(supervise(options))


def work(options: argparse.Namespace) -> None:
    """Feed mutants one after the other and print a line of JSON before and after each."""
    output = os.fdopen(os.dup(1), "w")
    target = TARGETS[options.target](options.models)
    target.feed(Random("warm up"))
    base_megabytes = _peak_megabytes()
    for number in range(options.first, options.first + options.count):
        print(json.dumps({"starts": number}), file=output, flush=True)
        start_seconds = time.process_time()
        signal.alarm(WALL_SECONDS)  # kills this process
        resource.setrlimit(resource.RLIMIT_CPU, (int(start_seconds) + CPU_SECONDS, -1))
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak of the memory
        line: dict[str, Any] = {"number": number}
        try:
            line["kind"], line["result"] = target.feed(Random(f"{options.seed} {number}"))
        except CheckError as error:
            line["wrong"] = str(error)
        except Exception:  # noqa: BLE001 - report errors of the fuzzer itself too
            line["wrong"] = traceback.format_exc(limit=-3)
        line["seconds"] = round(time.process_time() - start_seconds, 3)
        line["megabytes"] = round(_peak_megabytes() - base_megabytes)
        if line["megabytes"] > MAX_MEGABYTES:
            line.setdefault("wrong", f"it used {line['megabytes']} MB")
        print(json.dumps(line), file=output, flush=True)


def _peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def supervise(options: argparse.Namespace) -> int:
    """Run workers one after the other, print a summary and return the exit code."""
    start = time.perf_counter()
    lines: list[dict[str, Any]] = []
    number, end = options.first, options.first + options.count
    while number < end:
        command = [sys.executable, __file__, options.target, "--worker"]
        command += ["--models", str(options.models), "--seed", str(options.seed)]
        command += ["--first", str(number), "--count", str(min(MUTANTS_PER_WORKER, end - number))]
        lines += _run_worker(command)
        number = lines[-1]["number"] + 1
        print(f"{number - options.first:,} of {options.count:,}", file=sys.stderr)
    wrong = [line for line in lines if "wrong" in line]
    kinds: dict[str, Counter[str]] = {}
    for line in lines:
        kinds.setdefault(line.get("kind", "?"), Counter())[line.get("result", "WRONG")] += 1
    summary = {
        "target": options.target,
        "seed": options.seed,
        "mutants": len(lines),
        **dict(sorted(sum(kinds.values(), Counter()).items())),
        "wrong": len(wrong),
        "max_cpu_seconds": max(line.get("seconds", 0) for line in lines),
        "max_megabytes": max(line.get("megabytes", 0) for line in lines),
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "by_kind": dict(sorted(kinds.items())),
    }
    print(json.dumps(summary, indent=2))
    for line in wrong[:MAX_LISTED]:
        print(f"WRONG: --seed {options.seed} --only {line['number']}: {line['wrong']}")
    if options.summary is not None:
        with options.summary.open("a") as file:
            file.write(json.dumps(summary) + "\n")
    return 1 if wrong else 0


def _run_worker(command: list[str]) -> list[dict[str, Any]]:
    """Return the lines of a worker. If it dies, the last line is the mutant that killed it."""
    worker = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines: list[dict[str, Any]] = [json.loads(line) for line in worker.stdout.splitlines()]
    if not lines:
        sys.exit(f"error: a worker exits with {worker.returncode} before its first mutant")
    done = [line for line in lines if "starts" not in line]
    if "starts" in lines[-1]:
        reason = f"the process exits with {worker.returncode}"
        done.append({"number": lines[-1]["starts"], "wrong": reason})
    return done


if __name__ == "__main__":
    main()
