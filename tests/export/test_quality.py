import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

from cgan_export.cli import command
from cgan_runtime import DigitGenerator
from cgan_training import judge


@pytest.fixture
def quick_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real judge, trained for 110 steps instead of 600."""
    settings = dataclasses.replace(judge.SETTINGS, least_steps=110)
    monkeypatch.setattr(judge, "SETTINGS", settings)


@pytest.mark.usefixtures("quick_judge")
def test_the_judge_s_figures_reach_the_file(run_dir: Path, tmp_path: Path) -> None:
    output, cache = tmp_path / "digits.onnx", tmp_path / "cache"
    arguments = [run_dir, output, "--judge", "--cache-dir", cache]
    done = CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)
    assert "  quality     label accuracy " in done.output
    quality = DigitGenerator(output).info.quality
    # Digits that learnt for two short epochs are hardly legible; the judge reads real ones well.
    assert 0.05 < quality["label_accuracy"] < 0.5
    assert quality["judge_accuracy"] > 0.9
    assert quality["frechet"] > 1
    assert {"recall", "coverage", "worst_label_accuracy"} <= quality.keys()
    (kept,) = cache.iterdir()
    assert kept.name.startswith(f"judge-v{judge.JUDGE_VERSION}-")
