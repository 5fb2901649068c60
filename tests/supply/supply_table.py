"""Write docs/supply.md: every dependency, why it is there, and what it costs.

    python tests/supply/supply_table.py            # in the environment of `make setup`

The reasons are the comments in the pyproject.toml files; licences, sizes and what comes along are
read from the installed packages; what else was considered stands here.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import tomllib
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "supply.md"
STAGES = ("runtime", "training", "export")

# What was considered in a dependency's place.
ALTERNATIVES = {
    "click": "argparse: no ranges of numbers, and its errors are not one line",
    "matplotlib": "Pillow alone: axes, legends and a log scale by hand",
    "numpy": "Python alone, as for the noise of a single image: no arrays for onnxruntime",
    "onnx": "the runtime's own protobuf reader: it reads, but checks and infers nothing",
    "onnxruntime": "OpenVINO, LiteRT, ncnn: measured beside it in docs/benchmarks/inference.md",
    "onnxruntime-gpu": "TensorRT alone: a build for each card and version",
    "onnxscript": "none: torch.onnx imports it",
    "pillow": "the runtime's PNG writer: it cannot resample or write an animation",
    "pyarrow": "fastparquet: brings pandas, and pyarrow where it matters",
    "ray": "Dask, Spark, Celery: a task a shard is all that is asked of it; idx shards and a shell "
    "loop do without",
    "scikit-learn": "digits in a file of our own: theirs are documented, and known",
    "tensorboard": "curves.png, which is always there",
    "tomli": "JSON recipes: no comments in them",
    "torch": "JAX: smaller, but the exporter and the classic examples are torch's",
    "torchvision": "urllib and our own IDX reader: mirrors, hashes and four data sets by hand",
    "tqdm": "click's progress bar: no rates, and none in notebooks",
}
# Those that give their licence as a text, not as a name.
LICENCES = {"matplotlib": "PSF-2.0 style (Matplotlib License)", "torchvision": "BSD-3-Clause"}
HEADER = """\
# Supply: what is installed, and why

`python tests/supply/supply_table.py` writes this page from the three pyproject.toml files and the
packages that are installed; a test fails when it is out of date. Sizes are megabytes on the disk,
installed on Linux, x86-64, with the versions of constraints.txt; "brings" are the packages that
come along and are not listed themselves.

- **Lower bounds** are installed and tried: the runtime's in `make test`, all of them by
  `make lowest`, and in the workflow.
- **Known holes**: `make audit` asks pip-audit about all that `make setup` installed; the workflow
  does it at every push and every week.
- **At run time there is no network**: tests/pipeline/test_offline.py runs every command in a
  network namespace without interfaces, and cgan-run opens no socket at all.
"""


class Row(NamedTuple):
    """A dependency of one stage."""

    requirement: Requirement
    extra: str  # "" where it is always there
    why: str


def rows(stage: str) -> Iterator[Row]:
    """Yield a stage's dependencies with the comments beside them, extras after the rest.

    Raises:
        SystemExit: one has no comment.
    """
    text = (ROOT / stage / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    found = [("", line) for line in project["dependencies"]]
    for extra, lines in project.get("optional-dependencies", {}).items():
        found += [(extra, line) for line in lines]
    for extra, line in found:
        said = re.search(rf'"{re.escape(line)}"[\],]*\s*# *(.+)', text)
        if said is None:
            sys.exit(f"error: {line} of {stage} has no reason beside it; write one")
        yield Row(Requirement(line), extra, said[1].strip())


def megabytes(found: Distribution) -> float:
    files = [Path(str(file.locate())) for file in found.files or ()]
    return sum(path.stat().st_size for path in files if path.exists()) / 1e6


def licence(found: Distribution) -> str:
    name = str(found.metadata["Name"]).lower()
    facts = found.metadata.json
    said = str(facts.get("license_expression") or facts.get("license") or "")
    return LICENCES.get(name) or said.split("\n", maxsplit=1)[0].split(" AND ", maxsplit=1)[
        0
    ].removesuffix(" License")


def brought(name: str, listed: set[str]) -> list[str]:
    """Return the packages that come with one, and are listed nowhere."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        try:
            lines = distribution(waiting.pop()).requires or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, lines):
            key = requirement.name.lower().replace("_", "-")
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and key not in found and key not in listed:
                found[key] = None
                waiting.append(key)
    return sorted(found)


def page() -> str:
    """Return what the page should be."""
    text = [HEADER]
    for stage in STAGES:
        found = list(rows(stage))
        listed = {row.requirement.name for row in found}
        text.append(f"## cgan-{stage}\n")
        text.append("| package | for | why | licence | MB | brings | instead |")
        text.append("|---|---|---|---|---:|---|---|")
        text += [line for row in found if (line := table_line(row, listed))]
        text.append("")
    return "\n".join([*text, *contents()])


def table_line(row: Row, listed: set[str]) -> str:
    """Return a dependency's line; none for one of our own."""
    name = row.requirement.name
    if name.startswith("cgan-"):
        return ""
    try:
        found = distribution(name)
        facts = [licence(found), f"{megabytes(found):,.1f}", ", ".join(brought(name, listed))]
    except PackageNotFoundError:  # for another Python, or another machine
        facts = ["not installed here", "", ""]
    package = f"`{name}{row.requirement.specifier}`"
    use = f"[{row.extra}]" if row.extra else "all"
    return f"| {package} | {use} | {row.why} | {' | '.join(facts)} | {ALTERNATIVES[name]} |"


def contents() -> Iterator[str]:
    """Yield the section on what the runtime's wheel holds."""
    yield "## What is in the runtime's wheel\n"
    yield "Nothing is compiled and nothing runs at installation. Its files, no others (tested):\n"
    for path in wheel_files():
        yield f"- `{path}`"
    yield "- `cgan_runtime-VERSION.dist-info`: `METADATA`, `WHEEL`, `RECORD`, `entry_points.txt`"
    yield ""


def wheel_files() -> list[str]:
    """Return the files of the package that go into its wheel."""
    source = ROOT / "runtime" / "src"
    endings = {".py", ".onnx", ".typed", ".md"}
    found = [path for path in source.rglob("*") if path.is_file()]
    return sorted(path.relative_to(source).as_posix() for path in found if path.suffix in endings)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
