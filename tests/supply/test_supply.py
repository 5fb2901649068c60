"""The page on dependencies says what the pyproject.toml files and the wheel say."""

import re
import zipfile
from pathlib import Path

import pytest
import supply_table as table

import cgan_runtime


@pytest.fixture(scope="module")
def page() -> str:
    return table.PAGE.read_text()


@pytest.mark.parametrize("stage", table.STAGES)
def test_every_dependency_has_its_line(page: str, stage: str) -> None:
    section = page.partition(f"## cgan-{stage}\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([^`]+)` \| (?:all|\[(\w+)\]) \| ([^|]+) \|", section, re.MULTILINE)
    wanted = [
        (f"{row.requirement.name}{row.requirement.specifier}", row.extra, row.why)
        for row in table.rows(stage)
        if not row.requirement.name.startswith("cgan-")
    ]
    assert listed == wanted
    assert len(wanted) >= 6


def test_the_wheel_holds_what_the_page_lists(page: str, wheel: Path) -> None:
    listed = set(re.findall("^- `(cgan_runtime/[^`]+)`$", page, re.MULTILINE))
    files = set(zipfile.ZipFile(wheel).namelist())
    folder = f"cgan_runtime-{cgan_runtime.__version__}.dist-info"
    described = {f"{folder}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    assert files == listed | described


def test_nothing_in_the_wheel_runs_at_installation(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (info,) = (name for name in archive.namelist() if name.endswith("/WHEEL"))
        assert "Root-Is-Purelib: true" in archive.read(info).decode()
        assert not [name for name in archive.namelist() if name.endswith((".pth", ".so", ".sh"))]


def test_a_dependency_without_a_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "pyproject.toml").write_text(
        '[project]\ndependencies = [\n"click>=8.1",\n"numpy>=1.23",  # arrays\n]\n'
    )
    monkeypatch.setattr(table, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"click>=8\.1 of runtime has no reason beside it"):
        list(table.rows("runtime"))
