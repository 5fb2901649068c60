import dataclasses
from functools import partial
from pathlib import Path

import pytest

from cgan_export import VerificationError, export_model
from cgan_export.evaluation import quality_gate
from cgan_runtime import ImageGenerator
from cgan_training.evaluation import classifier


def test_the_measured_quality_is_in_the_metadata(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(classifier.SETTINGS, min_steps=110)  # instead of 200
    monkeypatch.setattr(classifier, "SETTINGS", settings)
    output, cache = tmp_path / "digits.onnx", tmp_path / "cache"
    measure = partial(quality_gate.measure_quality, data_dir=tmp_path, cache_dir=cache)
    report = export_model(run_dir, output, measure=measure)
    quality = ImageGenerator(output).info.quality
    assert report.quality == quality
    # After two short epochs the digits are hardly legible. The classifier is good at real ones.
    assert 0.05 < quality["label_accuracy"] < 0.5
    assert quality["classifier_accuracy"] > 0.9
    assert quality["frechet"] > 1
    assert {"recall", "coverage", "worst_label_accuracy", "memorized"} <= quality.keys()
    (cached,) = cache.iterdir()
    assert cached.name.startswith(f"classifier-v{classifier.CLASSIFIER_VERSION}-")


@pytest.mark.parametrize(("max_loss", "passes"), [(2, True), (-2, False)])
def test_the_gate_compares_the_accuracy_with_the_trained_network(
    run_dir: Path,
    tmp_path: Path,
    classifier_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    max_loss: float,
    passes: bool,
) -> None:
    monkeypatch.setattr(quality_gate, "MAX_ACCURACY_LOSS", max_loss)
    monkeypatch.setattr(quality_gate, "IMAGES", 1000)
    path = tmp_path / "digits.onnx"
    gate = partial(quality_gate.compare_accuracy, data_dir=tmp_path, cache_dir=classifier_cache)
    if passes:
        report = export_model(run_dir, path, precision="fp16", gate=gate)
        assert report.gate_result is not None
        assert 0.05 < report.gate_result.label_accuracy < 0.5
        assert abs(report.gate_result.change) < 0.01
    else:
        with pytest.raises(VerificationError, match=r"label accuracy .* nothing was written"):
            export_model(run_dir, path, precision="fp16", gate=gate)
        assert not path.exists()
