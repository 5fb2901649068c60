"""Do the lower bounds of the pyproject.toml files hold? Install them, and run the pipeline.

    make lowest
    python tests/supply/lowest.py --keep torch --keep torchvision  # as in constraints.txt

Makes an environment in which every direct dependency of the three packages has the lowest version
that is allowed (of several stages' bounds, the highest), trains, exports in every precision, draws,
checks and evaluates. Python 3.11 or older: the oldest wheels are for those.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import supply_table as table
from packaging.requirements import Requirement
from packaging.version import Version

EXTRAS = ("cpu", "parquet")  # ray and tensorboard bring bounds of their own, and are not needed
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
TRAIN = ("cgan-train", "--dataset", "optdigits", "--epochs", "1", "--run-dir")
PIPELINE = (
    (*TRAIN, "run"),
    (*TRAIN, "seed", "--recipe", "seed"),
    ("cgan-export", "run", "digits.onnx", "--precision", "fp32"),
    ("cgan-export", "run", "digits16.onnx", "--precision", "fp16"),
    ("cgan-export", "run", "digits8.onnx", "--precision", "int8"),
    ("cgan-run", "--model", "digits8.onnx", "--digits", "2026"),
    ("cgan-check", "--model", "digits8.onnx"),
    ("cgan-check",),
    ("cgan-bulk", "--count", "1000", "--output", "bulk", "--workers", "1"),
    ("cgan-eval", "digits8.onnx", "--dataset", "optdigits", "--json"),
)


def lowest(keep: list[str]) -> dict[str, str]:
    """Return the lowest version that all three packages allow of each dependency."""
    found: dict[str, Version] = {}
    for stage in table.STAGES:
        for row in table.rows(stage):
            name = row.requirement.name
            if name.startswith("cgan-") or name in keep or row.extra not in ("", *EXTRAS):
                continue
            if row.requirement.marker is not None and not row.requirement.marker.evaluate():
                continue
            (bound,) = (each.version for each in row.requirement.specifier if each.operator == ">=")
            found[name] = max(found.get(name, Version("0")), Version(bound))
    return {name: str(version) for name, version in sorted(found.items())}


def kept(names: list[str]) -> list[str]:
    """Return the lines of constraints.txt for these packages."""
    lines = (table.ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    return [line for line in pinned if Requirement(line).name in names]


def main() -> None:
    """Install, run, and leave with 1 where something fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", action="append", default=[], metavar="PACKAGE")
    keep = parser.parse_args().keep
    wanted = [f"{name}=={version}" for name, version in lowest(keep).items()] + kept(keep)
    print(*wanted, sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
        scripts = place / "venv" / "bin"
        folders = [str(table.ROOT / stage) for stage in table.STAGES]
        stages = [f"{folders[0]}[{','.join(EXTRAS)}]", *folders[1:]]
        subprocess.run([scripts / "python", *PIP, "install", *stages, *wanted], check=True)
        for command, *arguments in PIPELINE:
            print("$", command, *arguments, flush=True)
            done = subprocess.run([scripts / command, *arguments], cwd=place, check=False)
            if done.returncode:
                sys.exit(f"error: {command} ended with {done.returncode}")
    print("the lower bounds hold")


if __name__ == "__main__":
    main()
