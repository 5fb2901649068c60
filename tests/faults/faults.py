"""Let every file operation of every command go wrong, each in every way.

    python tests/faults/faults.py                              # all of it: an hour
    python tests/faults/faults.py "cgan-train" --kind kill     # one command, one fault
    python tests/faults/faults.py --every 10                   # each tenth operation

Each fault is a process of its own, forked from one that has imported everything. Afterwards every
file is what it was or a whole new one, an error is one line, and nothing but the killed leave a
.part file behind.
"""

import argparse
import json
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
from scenarios import OLD, Scenario, WrongError

SECONDS = 300  # that a command may take
TERMINATED = 143
MOST_SHOWN = 10


def main() -> None:
    """Inject faults and tell what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--summary", type=Path, help="write the counts to this file as JSON")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        place = Path(name)
        scenarios.prepare(place)
        scenarios.make_cheap(place)
        known = scenarios.scenarios(place)
        chosen = {key: known[key] for key in options.scenario or known}
        found: dict[str, Any] = {}
        wrong: list[str] = []
        for key, scenario in chosen.items():
            found[key] = try_all(key, scenario, place, options, wrong)
            print(f"{key}: {found[key]}", file=sys.stderr, flush=True)
    summary = {
        "scenarios": found,
        "faults": sum(sum(each["faults"].values()) for each in found.values()),
        "wrong": len(wrong),
        "minutes": round((time.perf_counter() - began) / 60, 1),
    }
    print(json.dumps(summary, indent=2))
    for line in wrong[:MOST_SHOWN]:
        print(f"WRONG: {line}")
    if options.summary is not None:
        options.summary.write_text(json.dumps(summary, indent=2) + "\n")
    sys.exit(1 if wrong else 0)


def try_all(
    name: str, scenario: Scenario, place: Path, options: argparse.Namespace, wrong: list[str]
) -> dict[str, Any]:
    """Fail each operation of a scenario in each way."""
    work = place / "work"
    begin(work, scenario)
    operations = count(work, scenario, place)
    faults: Counter[str] = Counter()
    for kind in options.kind or KINDS:
        for number in range(0, len(operations), options.every):
            before = begin(work, scenario)
            code, said = in_child(work, scenario, place, kind, number)
            faults[kind] += 1
            try:
                require_right(work, scenario, before, kind, code, said)
            except WrongError as error:
                wrong.append(f"{name}, {kind} at {number} ({operations[number]}): {error}")
    shutil.rmtree(work, ignore_errors=True)
    return {"operations": len(operations), "faults": dict(faults)}


def begin(work: Path, scenario: Scenario) -> dict[str, bytes]:
    """Make the folder new; return what is in it."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    scenario.begin(work)
    for output in scenario.outputs:
        (work / output).write_bytes(OLD)
    return files(work)


def files(work: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(work)): path.read_bytes() for path in work.rglob("*") if path.is_file()
    }


def count(work: Path, scenario: Scenario, place: Path) -> list[str]:
    """Run a scenario without a fault; return its operations by name."""
    code, said = in_child(work, scenario, place, "kill", None)
    if code:
        sys.exit(f"error: the scenario ends with {code} by itself: {said}")
    return list(json.loads((place / "operations").read_text()))


def in_child(
    work: Path, scenario: Scenario, place: Path, kind: str, number: int | None
) -> tuple[int, str]:
    """Run a scenario in a child; return its exit code, negative for a signal, and its stderr."""
    said = place / "said"
    child = os.fork()
    if not child:
        run(work, scenario, place, kind, number)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.read_text(errors="replace")


def run(work: Path, scenario: Scenario, place: Path, kind: str, number: int | None) -> None:
    """Be the child."""
    from cgan_runtime.cli import conventions

    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(work)
    for descriptor, path in ((1, place / "printed"), (2, place / "said")):
        os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), descriptor)
    injector = Injector(work, kind, number)
    injector.install()
    code: Any = 70
    try:
        conventions.run(scenario.command, scenario.arguments)
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException as error:  # noqa: BLE001 - the parent wants to see it
        sys.excepthook(type(error), error, error.__traceback__)
    if number is None:
        (place / "operations").write_text(json.dumps(injector.done))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def require_right(
    work: Path, scenario: Scenario, before: dict[str, bytes], kind: str, code: int, said: str
) -> None:
    """Check what a fault left.

    Raises:
        WrongError: it should not be so.
    """
    killed = code == -signal.SIGKILL
    if killed != (kind in ("kill", "half")):
        raise WrongError(f"it ended with {code}: {said[-500:]!r}")
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    allowed = {"term": (TERMINATED, 0)}.get(kind, (1, 0))
    if not killed and (code not in allowed or "Traceback" in said or "Warning" in said):
        raise WrongError(f"it ended with {code}: {said[-500:]!r}")
    if not killed and len(errors) != (1 if code else 0):
        raise WrongError(f"it ended with {code} and {len(errors)} errors: {said[-500:]!r}")
    after = files(work)
    left = [name for name in after if name.endswith(".part")]
    if left and not killed and kind != "read-only":
        raise WrongError(f"it left {left}")
    for name, content in after.items():
        if not name.endswith(".part") and before.get(name) != content:
            scenarios.require_whole(work / name)
    for name in before:
        if name not in after and not name.endswith(("checkpoint.pt", "checkpoint-previous.pt")):
            raise WrongError(f"{name} is gone")
    require_resumable(work, before, after)


def require_resumable(work: Path, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """Check that a run that could be gone on with still can.

    Raises:
        WrongError: it cannot.
    """
    from cgan_training.run.checkpoint import load_checkpoint

    if any(name.startswith("run/checkpoint") for name in {**before, **after}):
        try:
            load_checkpoint(work / "run")
        except Exception as error:
            raise WrongError(f"nothing to resume: {error}") from error


if __name__ == "__main__":
    main()
