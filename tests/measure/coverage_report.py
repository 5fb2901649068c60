"""Summarize the coverage of each package by the tests: `make coverage`.

    python tests/measure/coverage_report.py     # after coverage run and combine

Writes line and branch coverage by package to docs/reliability/coverage.json, and names the files
with the most missed lines. The exit code is 1 if a package is below 95 %.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SUMMARY = Path(__file__).parents[2] / "docs" / "reliability" / "coverage.json"
MIN_PERCENT = 95.0  # of a package's lines and branches
MAX_FILES = 5  # to name


def main() -> None:
    """Write the summary, and exit with 1 if a package's coverage is too low."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        # Some tests run copies of the packages that no longer exist.
        options = ("--quiet", "--ignore-errors", "-o", str(path))
        command = [sys.executable, "-m", "coverage", "json", *options]
        subprocess.run(command, check=True)
        files: dict[str, Any] = json.loads(path.read_text())["files"]
    packages = {name: summarize(name, files) for name in ("training", "export", "runtime")}
    SUMMARY.parent.mkdir(exist_ok=True)
    SUMMARY.write_text(json.dumps(packages, indent=2) + "\n")
    print(json.dumps(packages, indent=2))
    low = [name for name, each in packages.items() if each["percent"] < MIN_PERCENT]
    if low:
        sys.exit(f"error: {', '.join(low)}: below {MIN_PERCENT} %; test the files listed above")


def summarize(stage: str, files: dict[str, Any]) -> dict[str, Any]:
    """Return the totals of a package, and its files with the most missed lines and branches."""
    summaries = {name: each["summary"] for name, each in files.items() if f"cgan_{stage}/" in name}
    lines = sum(each["num_statements"] for each in summaries.values())
    branches = sum(each["num_branches"] for each in summaries.values())
    missed = {
        name.partition("src/")[2]: each["missing_lines"] + each["missing_branches"]
        for name, each in summaries.items()
    }
    worst = sorted(missed, key=lambda name: -missed[name])[:MAX_FILES]
    return {
        "lines": lines,
        "branches": branches,
        "percent": round(100 * (1 - sum(missed.values()) / (lines + branches)), 2),
        "most_missed": {name: missed[name] for name in worst if missed[name]},
    }


if __name__ == "__main__":
    main()
