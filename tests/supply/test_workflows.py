"""The workflows and the package metadata of a release."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYPROJECTS = [ROOT / name / "pyproject.toml" for name in ("runtime", "training", "export")]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    actions = [step["uses"] for job in jobs for step in job["steps"] if "uses" in step]
    assert actions
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in actions)


def test_the_three_packages_have_one_version() -> None:
    modules = (ROOT.glob(f"{path.parent.name}/src/*/__init__.py") for path in PYPROJECTS)
    texts = [path.read_text(encoding="utf-8") for paths in modules for path in paths]
    versions = [re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE) for text in texts]
    required = [
        re.findall(r'"cgan-\w+(?:\[\w+\])?==([^"]+)"', path.read_text(encoding="utf-8"))
        for path in PYPROJECTS
    ]
    assert len(versions) == 3
    assert {each for group in versions + required for each in group} == {versions[0][0]}


def test_the_citation_file_names_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    titles = [reference["title"] for reference in citation["references"]]
    assert "Conditional Generative Adversarial Nets" in titles
