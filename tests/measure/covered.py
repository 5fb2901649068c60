"""Write down which share of each package the tests reach: `make coverage`.

    python tests/measure/covered.py     # after coverage run and combine

Lines and branches, by package, into docs/reliability/coverage.json; the files that miss most are
named there. The exit code is 1 where a package is below 95 %.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SUMMARY = Path(__file__).parents[2] / "docs" / "reliability" / "coverage.json"
LEAST = 95.0  # per cent of a package's lines and branches
MOST_NAMED = 5


def main() -> None:
    """Add up, write, and leave with 1 where too little is covered."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(path)]
        subprocess.run(command, check=True)
        files: dict[str, Any] = json.loads(path.read_text())["files"]
    packages = {name: package(name, files) for name in ("training", "export", "runtime")}
    SUMMARY.parent.mkdir(exist_ok=True)
    SUMMARY.write_text(json.dumps(packages, indent=2) + "\n")
    print(json.dumps(packages, indent=2))
    low = [name for name, each in packages.items() if each["percent"] < LEAST]
    if low:
        sys.exit(f"error: {', '.join(low)} below {LEAST} %; test what is named above")


def package(stage: str, files: dict[str, Any]) -> dict[str, Any]:
    """Add up a package's files."""
    mine = {name: each["summary"] for name, each in files.items() if f"cgan_{stage}/" in name}
    total = sum(each["num_statements"] + each["num_branches"] for each in mine.values())
    missed = {
        name.partition("src/")[2]: each["missing_lines"] + each["missing_branches"]
        for name, each in mine.items()
    }
    worst = sorted(missed, key=lambda name: -missed[name])[:MOST_NAMED]
    return {
        "lines": sum(each["num_statements"] for each in mine.values()),
        "branches": sum(each["num_branches"] for each in mine.values()),
        "percent": round(100 * (1 - sum(missed.values()) / total), 2),
        "missed_most": {name: missed[name] for name in worst if missed[name]},
    }


if __name__ == "__main__":
    main()
