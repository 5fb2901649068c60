"""The pages agree with the code, and their relative links are valid."""

import json
import re
import subprocess
from pathlib import Path

import api_pages
import pytest
import recipe_keys
from commands import Command

from cgan_export.cli.report import report_values
from cgan_export.export import ExportReport
from cgan_runtime.diagnostics.speed import Speed

ROOT = Path(__file__).parents[2]
GIT = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
PAGES = sorted(
    path
    for name in subprocess.run((*GIT, "*.md"), cwd=ROOT, capture_output=True, check=True, text=True)
    .stdout.strip("\0")
    .split("\0")
    if (path := ROOT / name).is_file()
)
CODE = re.compile(r"^```.*?^```|^ {4}.*?$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub forms them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for name, anchor in LINK.findall(CODE.sub("`", page.read_text("utf-8"))):
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{name}#{anchor}")
    return broken


def test_relative_links_lead_to_a_file_and_a_heading() -> None:
    broken = {str(page.relative_to(ROOT)): broken_links(page) for page in PAGES}
    assert len(broken) > 50
    assert {page: links for page, links in broken.items() if links} == {}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One (1)\n[a](#one-1) [b](page.md#one-1) [c](#two) [d](no.md) `[e](no.md)`")
    assert broken_links(page) == ["#two", "no.md#"]


def test_the_recipe_keys_are_current() -> None:
    assert recipe_keys.PAGE.read_text("utf-8") == recipe_keys.fill_page(), "run docs/recipe_keys.py"


@pytest.mark.parametrize("page", api_pages.PAGES, ids=lambda page: page.stem)
def test_the_reference_is_current(page: Path) -> None:
    assert page.read_text("utf-8") == api_pages.fill_page(page), "run docs/api_pages.py"


def test_every_recipe_key_has_a_meaning() -> None:
    assert "|  |" not in recipe_keys.markdown()


def test_the_reference_describes_every_key_of_the_json_reports(
    call: Command,
) -> None:
    report = ExportReport(Path(), "int8", 1, True, 1, 1, 19, 1, 0.5, 1, None, {}, 1.0)
    checked = json.loads(call("cgan-check", "--json").stdout)
    keys = [
        *report_values(report, Speed(1.0, 1.0)),
        *checked,
        *checked["model"],
        *checked["golden"],
    ]
    text = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    assert not [key for key in keys if f"`{key}`" not in text.partition("<!-- begin")[0]]


def test_the_reference_describes_every_installed_command() -> None:
    installed = {
        name
        for stage in ("runtime", "training", "export")
        for name in re.findall(
            r"^(cgan-\w+) = ", (ROOT / stage / "pyproject.toml").read_text(), re.MULTILINE
        )
    }
    assert set(api_pages.COMMANDS) == installed
