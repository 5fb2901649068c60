from functools import partial
from pathlib import Path

import pytest

from cgan_export import VerificationError, export_model
from cgan_export.evaluation import quality_gate
from cgan_export.evaluation.quality_gate import compare_accuracy, measure_quality
from cgan_runtime import ImageGenerator


def test_the_measured_quality_is_in_the_metadata(
    run_dir: Path, tmp_path: Path, classifier_cache: Path
) -> None:
    path = tmp_path / "digits.onnx"
    measure = partial(measure_quality, data_dir=tmp_path, cache_dir=classifier_cache)
    report = export_model(run_dir, path, measure=measure)
    quality = ImageGenerator(path).info.quality
    assert report.quality == quality
    assert 0.05 < quality["label_accuracy"] < 0.5  # after two short epochs
    assert quality["classifier_accuracy"] > 0.95
    assert quality["frechet"] > 1
    assert {"recall", "coverage", "worst_label_accuracy", "memorized"} <= quality.keys()


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
    gate = partial(compare_accuracy, data_dir=tmp_path, cache_dir=classifier_cache)
    if passes:
        report = export_model(run_dir, path, precision="fp16", gate=gate)
        assert report.gate_result is not None
        assert 0.05 < report.gate_result.label_accuracy < 0.5
        assert abs(report.gate_result.change) < 0.01
    else:
        with pytest.raises(VerificationError, match=r"label accuracy .* nothing was written"):
            export_model(run_dir, path, precision="fp16", gate=gate)
        assert not path.exists()
