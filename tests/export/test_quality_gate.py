import dataclasses
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from cgan_export import VerificationError, export_model
from cgan_export.cli.export import command
from cgan_export.evaluation import quality_gate
from cgan_runtime import ImageGenerator
from cgan_training.evaluation import classifier


@pytest.fixture
def quick_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real judge, trained for 110 steps instead of 200."""
    settings = dataclasses.replace(classifier.SETTINGS, least_steps=110)
    monkeypatch.setattr(classifier, "SETTINGS", settings)


@pytest.mark.usefixtures("quick_judge")
def test_the_judge_s_figures_reach_the_file(run_dir: Path, tmp_path: Path) -> None:
    output, cache = tmp_path / "digits.onnx", tmp_path / "cache"
    arguments = [run_dir, output, "--judge", "--cache-dir", cache]
    done = CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)
    assert "gate              none" in done.output
    assert "see --judge" not in done.output
    quality = ImageGenerator(output).info.quality
    # Digits that learnt for two short epochs are hardly legible; the judge reads real ones well.
    assert 0.05 < quality["label_accuracy"] < 0.5
    assert quality["judge_accuracy"] > 0.9
    assert quality["frechet"] > 1
    assert {"recall", "coverage", "worst_label_accuracy"} <= quality.keys()
    (kept,) = cache.iterdir()
    assert kept.name.startswith(f"judge-v{classifier.CLASSIFIER_VERSION}-")


@pytest.mark.parametrize(("most_lost", "refused"), [(2, False), (-2, True)])
def test_the_gate_compares_what_is_read(
    run_dir: Path,
    tmp_path: Path,
    judge_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    most_lost: float,
    refused: bool,
) -> None:
    monkeypatch.setattr(quality_gate, "MOST_LOST", most_lost)
    path = tmp_path / "digits.onnx"
    gate = partial(
        quality_gate.compare_accuracy,
        model_path=run_dir,
        data_dir=tmp_path,
        cache_dir=judge_cache,
    )
    if refused:
        with pytest.raises(VerificationError, match=r"a judge reads .* nothing was written"):
            export_model(run_dir, path, precision="int8", gate=gate)
        assert not path.exists()
    else:
        report = export_model(run_dir, path, precision="int8", gate=gate)
        assert report.judgement is not None
        assert 0.05 < report.judgement.label_accuracy < 0.5
        assert abs(report.judgement.change) < 0.01
