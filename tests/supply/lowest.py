"""Install the lowest versions that the pyproject.toml files allow, and run the pipeline.

    make lowest
    python tests/supply/lowest.py --keep torch --keep torchvision  # as in constraints.txt

Creates an environment with the lowest allowed version of every direct dependency (if several
distributions have a bound, the highest of them). Then it trains, exports in every precision,
generates, checks and evaluates. Needs Python 3.11 or older, for which the oldest wheels exist.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import supply_table
from packaging.version import Version

EXTRAS = ("cpu", "parquet")  # ray and tensorboard have bounds of their own, and are not needed
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
TRAIN = ("cgan-train", "--dataset", "optdigits", "--epochs", "1", "--run-dir")
PIPELINE = (
    (*TRAIN, "run"),
    (*TRAIN, "classic", "--recipe", "classic"),
    ("cgan-export", "run", "digits.onnx", "--precision", "fp32"),
    ("cgan-export", "run", "digits16.onnx", "--precision", "fp16"),
    ("cgan-export", "run", "digits8.onnx", "--precision", "int8"),
    ("cgan-run", "--model", "digits8.onnx", "--digits", "2026"),
    ("cgan-check", "--model", "digits8.onnx"),
    ("cgan-check",),
    ("cgan-bulk", "--count", "100", "--output", "bulk", "--workers", "1"),
    ("cgan-eval", "digits8.onnx", "--dataset", "optdigits", "--json"),
)


def requirements(keep: list[str]) -> list[str]:
    """Return each dependency in the lowest version that all distributions allow.

    Args:
        keep: packages that get their version in constraints.txt instead.
    """
    lines = (supply_table.ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0]: line for line in lines if "==" in line}
    versions: dict[str, Version] = {}
    for row in (row for stage in supply_table.STAGES for row in supply_table.rows(stage)):
        name, marker = row.requirement.name, row.requirement.marker
        if row.extra in ("", *EXTRAS) and (marker is None or marker.evaluate()):
            (bound,) = (each.version for each in row.requirement.specifier if each.operator == ">=")
            versions[name] = max(versions.get(name, Version("0")), Version(bound))
    return [pinned[name] if name in keep else f"{name}=={versions[name]}" for name in versions]


def main() -> None:
    """Install and run everything; exit with 1 if a command fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", action="append", default=[], metavar="PACKAGE")
    versions = requirements(parser.parse_args().keep)
    print(*versions, sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
        scripts = Path(folder) / "venv" / "bin"
        runtime, *others = (str(supply_table.ROOT / stage) for stage in supply_table.STAGES)
        packages = [f"{runtime}[{','.join(EXTRAS)}]", *others, *versions]
        subprocess.run([scripts / "python", *PIP, "install", *packages], check=True)
        for command, *arguments in PIPELINE:
            print("$", command, *arguments, flush=True)
            done = subprocess.run([scripts / command, *arguments], cwd=folder, check=False)
            if done.returncode:
                sys.exit(f"error: {command} failed with exit code {done.returncode}")
    print("the pipeline works with the lowest versions")


if __name__ == "__main__":
    main()
