"""Fill the tables of docs/supply.md: every dependency, the reason for it, and its cost.

    python tests/supply/supply_table.py            # in the environment of `make setup`

The reasons are the comments in the pyproject.toml files. Licenses, sizes and indirect dependencies
are read from the installed packages.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "supply.md"
STAGES = ("runtime", "training", "export")


class Row(NamedTuple):
    """A dependency of one distribution."""

    requirement: Requirement
    extra: str  # "" if it is always installed
    reason: str


def read_pyproject(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the text of a folder's pyproject.toml and its values."""
    text = (folder / "pyproject.toml").read_text()
    return text, tomllib.loads(text)


def rows(stage: str) -> Iterator[Row]:
    """Yield a distribution's dependencies on other projects, with the comments beside them.

    Raises:
        SystemExit: a dependency has no comment.
    """
    text, values = read_pyproject(ROOT / stage)
    project = values["project"]
    groups = {"": project["dependencies"], **project.get("optional-dependencies", {})}
    for extra, line in ((extra, line) for extra, lines in groups.items() for line in lines):
        comment = re.search(rf'"{re.escape(line)}"[\],]*\s*# *(.+)', text)
        if comment is None:
            sys.exit(f"error: {line} in {stage}/pyproject.toml has no comment; add the reason")
        if not line.startswith("cgan-"):
            yield Row(Requirement(line), extra, comment[1].strip())


def table(stage: str) -> str:
    """Return a distribution's dependencies as Markdown."""
    dependencies = list(rows(stage))
    direct = {row.requirement.name for row in dependencies}
    lines = [
        "| package | extra | reason | license | MB | also installs |",
        "|---|---|---|---|---:|---|",
    ]
    for row in dependencies:
        name = row.requirement.name
        try:
            package = distribution(name)
            also = ", ".join(indirect_dependencies(name, direct))
            facts = [license_name(package), f"{megabytes(package):,.1f}", also]
        except PackageNotFoundError:  # it is for other Python versions or machines
            facts = ["not installed here", "", ""]
        cells = [f"`{name}{row.requirement.specifier}`", row.extra, row.reason, *facts]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def megabytes(package: Distribution) -> float:
    """Return the size of a package's installed files."""
    files = [Path(str(file.locate())) for file in package.files or ()]
    return sum(path.stat().st_size for path in files if path.exists()) / 1e6


def license_name(package: Distribution) -> str:
    """Return the name of a package's license, or the first words of its text."""
    metadata = package.metadata.json
    text = str(metadata.get("license_expression") or metadata.get("license") or "")
    return text.split("\n", maxsplit=1)[0].split(" AND ", maxsplit=1)[0].removesuffix(" License")


def indirect_dependencies(name: str, direct: set[str]) -> list[str]:
    """Return the packages that are installed with one, except direct dependencies."""
    names: set[str] = set()
    queue = [name]
    while queue:
        try:
            lines = distribution(queue.pop()).requires or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, lines):
            key = requirement.name.lower().replace("_", "-")
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and key not in names | direct:
                names.add(key)
                queue.append(key)
    return sorted(names)


def wheel_files() -> str:
    """Return the files of the runtime package that belong in its wheel, as a Markdown list."""
    source, suffixes = ROOT / "runtime" / "src", {".py", ".onnx", ".typed", ".md"}
    files = (path for path in source.rglob("*") if path.is_file() and path.suffix in suffixes)
    return "\n".join(sorted(f"- `{path.relative_to(source).as_posix()}`" for path in files))


def main() -> None:
    """Replace the text between the begin and end comments of the page."""
    text = PAGE.read_text()
    for name in (*STAGES, "wheel"):
        start, rest = re.split(rf"(?<=<!-- begin: {name} ).*?-->\n", text, maxsplit=1)
        content = wheel_files() if name == "wheel" else table(name)
        end = rest[rest.index(f"<!-- end: {name} -->") :]
        text = f"{start}(python tests/supply/supply_table.py fills this) -->\n\n{content}\n\n{end}"
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
