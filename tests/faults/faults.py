"""Make every file operation of every command fail, once for each kind of fault.

    python tests/faults/faults.py                              # everything: an hour
    python tests/faults/faults.py "cgan-train" --kind kill     # one command, one kind of fault
    python tests/faults/faults.py --at-most 10                 # ten operations of each command

Each fault runs in its own process, forked from one that has imported everything. Afterwards every
file must be unchanged or a complete new one, an error must be one line, and only a killed process
may leave a .part or .lock file.
"""

import argparse
import json
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import scenarios
from inject import KINDS, Injector
from scenarios import OLD, CheckFailedError, Scenario

MAX_SECONDS = 300  # of a command
TERMINATED = 143
MAX_LISTED = 10


def main() -> None:
    """Inject faults and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--at-most", type=int, default=sys.maxsize, metavar="OPERATIONS")
    parser.add_argument("--summary", type=Path, help="write the counts to this file as JSON")
    options = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        available = scenarios.scenarios(folder)
        chosen = {key: available[key] for key in options.scenario or available}
        if any(not key.startswith("cgan-run") for key in chosen):
            scenarios.prepare(folder)
        counts: dict[str, Any] = {}
        wrong: list[str] = []
        for key, scenario in chosen.items():
            if scenario.patch_slow_part is not None:
                scenario.patch_slow_part(folder)
            counts[key] = inject_all(key, scenario, folder, options, wrong)
            print(f"{key}: {counts[key]}", file=sys.stderr, flush=True)
    summary = {
        "scenarios": counts,
        "faults": sum(sum(each["faults"].values()) for each in counts.values()),
        "wrong": len(wrong),
        "minutes": round((time.perf_counter() - start) / 60, 1),
    }
    print(json.dumps(summary, indent=2))
    for line in wrong[:MAX_LISTED]:
        print(f"WRONG: {line}")
    if options.summary is not None:
        options.summary.write_text(json.dumps(summary, indent=2) + "\n")
    sys.exit(1 if wrong else 0)


def inject_all(
    name: str, scenario: Scenario, folder: Path, options: argparse.Namespace, wrong: list[str]
) -> dict[str, Any]:
    """Make the operations of a scenario fail in each way; append what is wrong."""
    work = folder / "work"
    fill(work, scenario)
    code, stderr = run_in_child(scenario, folder, "kill", None)
    if code:
        sys.exit(f"error: {name} exits with {code} without a fault: {stderr}")
    operations = json.loads((folder / "operations").read_text())
    faults: Counter[str] = Counter()
    step = math.ceil(len(operations) / options.at_most)
    for kind in options.kind or KINDS:
        for number in range(0, len(operations), step):
            before = fill(work, scenario)
            code, stderr = run_in_child(scenario, folder, kind, number)
            faults[kind] += 1
            try:
                check_exit(kind, code, stderr)
                check_files(work, before, kind)
            except CheckFailedError as error:
                wrong.append(f"{name}, {kind} at {number} ({operations[number]}): {error}")
    shutil.rmtree(work)
    return {"operations": len(operations), "faults": dict(faults)}


def fill(work: Path, scenario: Scenario) -> dict[str, bytes]:
    """Create the working folder of a scenario; return its files."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    if scenario.run is not None:
        shutil.copytree(scenario.run, work / "run")
    for output in scenario.outputs:
        (work / output).write_bytes(OLD)
    return read_files(work)


def read_files(work: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(work)): path.read_bytes() for path in work.rglob("*") if path.is_file()
    }


def run_in_child(
    scenario: Scenario, folder: Path, kind: str, number: int | None
) -> tuple[int, str]:
    """Run a scenario in a forked child; return its exit code (negative: a signal) and stderr."""
    child = os.fork()
    if not child:
        run(scenario, folder, kind, number)
    _, status = os.waitpid(child, 0)
    stderr = (folder / "stderr").read_text(errors="replace")
    return os.waitstatus_to_exitcode(status), stderr


def run(scenario: Scenario, folder: Path, kind: str, number: int | None) -> None:
    """Run a scenario in this process, which is the child, and exit."""
    from cgan_runtime.cli import runner

    signal.alarm(MAX_SECONDS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder / "work")
    for descriptor, path in ((1, folder / "stdout"), (2, folder / "stderr")):
        os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), descriptor)
    injector = Injector(folder / "work", kind, number)
    injector.install()
    code: Any = 70
    try:
        runner.run(scenario.command, scenario.arguments)
    except SystemExit as exiting:
        code = exiting.code or 0
    except BaseException as error:  # noqa: BLE001 - the parent reports it
        sys.excepthook(type(error), error, error.__traceback__)
    if number is None:
        (folder / "operations").write_text(json.dumps(injector.operations))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def check_exit(kind: str, code: int, stderr: str) -> None:
    """Raise CheckFailedError if the exit code or the error message does not match the fault."""
    message = f"it exits with {code} and prints {stderr[-500:]!r}"
    if kind in ("kill", "half"):
        if code != -signal.SIGKILL:
            raise CheckFailedError(message)
        return
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    if code not in (0, TERMINATED if kind == "term" else 1) or len(errors) != bool(code):
        raise CheckFailedError(message)
    if "Traceback" in stderr or "Warning" in stderr:
        raise CheckFailedError(message)


def check_files(work: Path, before: dict[str, bytes], kind: str) -> None:
    """Raise CheckFailedError if a file is incomplete or missing, or a run cannot be resumed."""
    from cgan_training.run.checkpoint import load_checkpoint

    after = read_files(work)
    parts = {name for name in after if name.endswith((".part", ".lock"))}
    if parts and kind not in ("kill", "half", "read-only"):
        raise CheckFailedError(f"it leaves {sorted(parts)}")
    for name in after.keys() - parts:
        if before.get(name) != after[name]:
            scenarios.check_complete(work / name)
    for name in before.keys() - after.keys():
        if not name.endswith(("checkpoint.pt", "checkpoint-previous.pt")):
            raise CheckFailedError(f"{name} is missing")
    if any(name.startswith("run/checkpoint") for name in {**before, **after}):
        try:
            load_checkpoint(work / "run")
        except Exception as error:
            raise CheckFailedError(f"the run cannot be resumed: {error}") from error


if __name__ == "__main__":
    main()
