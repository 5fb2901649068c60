"""The quality gate and the measured quality of an exported file."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cgan_export import VerificationError, export_model
from cgan_export.evaluation import quality_gate
from cgan_export.evaluation.datasets import EvaluationData
from cgan_export.evaluation.image_sources import ImageSource
from cgan_export.evaluation.quality_gate import GateResult, compare_accuracy, measure_quality
from cgan_export.source.generator_source import source_of_model
from cgan_runtime import ImageGenerator
from cgan_training.data import Dataset, load_dataset
from cgan_training.model_file import load_model

BATCH = 1000


def test_the_measured_quality_is_in_the_metadata(
    run_dir: Path, tmp_path: Path, digits: Dataset, classifier_cache: Path
) -> None:
    path = tmp_path / "digits.onnx"
    data = EvaluationData(digits, load_dataset("optdigits", Path("none"), train=False)[0])
    measure = partial(measure_quality, data=data, cache_dir=classifier_cache)
    report = export_model(run_dir, path, measure=measure)
    quality = ImageGenerator(path).info.quality
    assert report.quality == quality
    assert 0.05 < quality["label_accuracy"] < 0.5  # after two short epochs
    assert quality["classifier_accuracy"] > 0.95
    assert quality["frechet"] > 1
    assert {"recall", "coverage", "worst_label_accuracy", "memorized"} <= quality.keys()


@pytest.fixture
def gate(
    run_dir: Path,
    onnx_file: Path,
    digits: Dataset,
    classifier_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int, int, float], GateResult]:
    """Run the gate with networks that generate training images, and an image of another label for
    the first `trained` or `exported` labels of each batch.
    """
    monkeypatch.setattr(quality_gate, "TEST_INTERVAL", BATCH)
    monkeypatch.setattr(quality_gate, "MAX_PAIRS", 2 * BATCH)
    first = torch.stack([(digits.labels == label).nonzero()[0, 0] for label in range(10)])

    def source(wrong: int) -> ImageSource:
        def generate(labels: Tensor) -> Tensor:
            shown = labels.clone()
            shown[:wrong] = (shown[:wrong] + 1) % 10
            return digits.images[first[shown]]

        return ImageSource("", "optdigits", digits.class_names, (1, 28, 28), generate)

    def run(trained: int, exported: int, max_loss: float = 0.001) -> GateResult:
        monkeypatch.setattr(quality_gate, "torch_source", lambda *_, **__: source(trained))
        monkeypatch.setattr(quality_gate, "onnx_source", lambda *_, **__: source(exported))
        with ImageGenerator(onnx_file, "cpu", threads=1) as generator:
            return compare_accuracy(
                generator,
                source_of_model(load_model(run_dir)),
                data=digits,
                cache_dir=classifier_cache,
                max_loss=max_loss,
            )

    return run


def test_a_proven_loss_is_rejected(gate: Callable[..., GateResult]) -> None:
    with pytest.raises(VerificationError, match=r"95\.00% .* 100\.00%, .* 1,000 images") as caught:
        gate(0, 50)
    message = str(caught.value)
    assert "loses more than 0.1 percentage points of label accuracy (" in message
    options = ("--dataset", "--precision", "--max-accuracy-loss", "--no-quality-gate")
    assert sorted(options, key=message.index) == [*options]
    assert gate(0, 50, 0.2).proven  # a larger limit


def test_more_images_are_generated_until_the_result_is_decided(
    gate: Callable[..., GateResult], caplog: pytest.LogCaptureFixture
) -> None:
    assert gate(0, 0, 0.1) == GateResult(1.0, 0.0, BATCH, True)
    caplog.set_level(logging.INFO)
    assert gate(0, 1) == GateResult(0.999, -0.001, 2 * BATCH, False)  # the loss equals the limit
    assert "2,000 images do not decide whether the loss" in caplog.text


def test_the_last_pairs_are_tested_and_the_maximum_is_kept(
    gate: Callable[..., GateResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_gate, "TEST_INTERVAL", 2 * BATCH)
    monkeypatch.setattr(quality_gate, "MAX_PAIRS", 2 * BATCH + BATCH // 2)
    assert gate(0, 1).images == 2 * BATCH  # the loss equals the limit


def test_a_network_with_a_low_label_accuracy_gives_a_warning(
    gate: Callable[..., GateResult], caplog: pytest.LogCaptureFixture
) -> None:
    gate(800, 0)
    assert (
        "the label accuracy of the trained network in the quality gate (1,000 images) is only 20"
        in caplog.text
    )
    assert "check --dataset" in caplog.text


def test_a_file_without_errors_passes(
    run_dir: Path,
    onnx_file: Path,
    digits: Dataset,
    classifier_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quality_gate, "TEST_INTERVAL", BATCH)
    source = source_of_model(load_model(run_dir))
    with ImageGenerator(onnx_file, "cpu", threads=1) as generator:
        result = compare_accuracy(
            generator, source, data=digits, cache_dir=classifier_cache, max_loss=0.1
        )
    assert 0.05 < result.label_accuracy < 0.5
    assert (result.change, result.proven) == (0, True)
