"""docs/supply.md agrees with the pyproject.toml files and the wheel."""

import re
import zipfile
from pathlib import Path

import lock
import pytest
import supply_table

import cgan_runtime

PAGE = supply_table.PAGE.read_text()


@pytest.mark.parametrize("stage", supply_table.STAGES)
def test_the_page_lists_every_dependency(stage: str) -> None:
    section = PAGE.partition(f"<!-- begin: {stage} ")[2].partition("<!-- end")[0]
    listed = re.findall(r"^\| `([^`]+)` \| (\w*) \| ([^|]+) \|", section, re.MULTILINE)
    expected = [
        (f"{row.requirement.name}{row.requirement.specifier}", row.extra, row.reason)
        for row in supply_table.rows(stage)
    ]
    assert listed == expected, "run python tests/supply/supply_table.py"


def test_the_wheel_contains_the_listed_files(wheel: Path) -> None:
    folder = f"cgan_runtime-{cgan_runtime.__version__}.dist-info"
    names = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    metadata = {f"{folder}/{name}" for name in names}
    listed = set(re.findall("^- `(cgan_runtime/[^`]+)`$", PAGE, re.MULTILINE))
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == listed | metadata, "run tests/supply/supply_table.py"
        assert "Root-Is-Purelib: true" in archive.read(f"{folder}/WHEEL").decode()


def test_the_readme_states_the_size_of_the_wheel(wheel: Path) -> None:
    text = (supply_table.ROOT / "README.md").read_text("utf-8")
    (stated,) = re.findall(r"a wheel of ([\d.]+) MB", text)
    assert float(stated) == pytest.approx(wheel.stat().st_size / 1e6, rel=0.1)


def test_the_lock_has_the_versions_of_the_constraints() -> None:
    locked = dict(re.findall(r"^([\w-]+)==(\S+)", lock.LOCK.read_text(), re.MULTILINE))
    lines = (supply_table.ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    expected = {name: version for name, version in pinned.items() if name in locked}
    assert {name: locked[name] for name in expected} == expected, "run make lock"
    assert {"numpy", "onnxruntime", "pip"} <= locked.keys()
