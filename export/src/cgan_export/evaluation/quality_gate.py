"""Measure an exported file: the quality gate, and the metrics for the file's metadata."""

import logging
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cgan_export.errors import VerificationError
from cgan_export.evaluation.datasets import EvaluationData
from cgan_export.evaluation.evaluator import Evaluator, measure_classifier, warn_if_low
from cgan_export.evaluation.image_sources import CHUNK, onnx_source, torch_source
from cgan_export.evaluation.paired_test import PairCounts, loss_exceeds, loss_is_within
from cgan_export.source.generator_source import GeneratorSource
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import REFERENCE_SEED
from cgan_training.data import Dataset
from cgan_training.evaluation.classifier import load_or_train_classifier, predict_with_features
from cgan_training.evaluation.classifier_progress import STEP_SECONDS

TEST_INTERVAL = 10_000  # image pairs between two evaluations of the test
MAX_PAIRS = 100_000  # largest number of image pairs
MAX_ACCURACY_LOSS = 0.001

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateResult:
    """Result of the quality gate for a file that it does not reject."""

    label_accuracy: float  # label accuracy of the exported file, 0 to 1
    change: float  # label accuracy of the file minus that of the trained network, -1 to 1
    images: int  # number of image pairs compared
    proven: bool  # whether the loss is proven to be within the limit; if not, it is undecided
    classifier_accuracy: float | None = None  # accuracy on real test images, if they were given

    @property
    def trained_label_accuracy(self) -> float:
        """Label accuracy of the trained network, 0 to 1."""
        return round(self.label_accuracy - self.change, 5)

    @property
    def decision(self) -> str:
        """The result in one word: passed or undecided."""
        return "passed" if self.proven else "undecided"


def compare_accuracy(
    generator: ImageGenerator,
    source: GeneratorSource,
    *,
    data: Dataset,
    cache_dir: Path,
    test: Dataset | None = None,
    max_loss: float = MAX_ACCURACY_LOSS,
) -> GateResult:
    """Compare the label accuracy of an exported file with that of the trained network.

    Both generate images from the same noise and labels, and the evaluation classifier predicts
    their labels. Up to 100,000 pairs of images are compared, until the test in paired_test.py
    decides with an error level of 1 % whether the loss exceeds max_loss.

    Args:
        generator: the exported file.
        source: the generator that was exported.
        data: the training images, as load_training_images() returns them.
        cache_dir: folder of the evaluation classifier, which is trained at first use. That takes
            some minutes.
        test: real test images to measure the accuracy of the classifier.
        max_loss: largest accepted loss of label accuracy, 0 to 1.

    Raises:
        VerificationError: the accuracy is lower by more than max_loss.
        cgan_runtime.OutputError: cache_dir is not writable.
    """
    classifier = load_or_train_classifier(data, cache_dir, "--no-quality-gate omits it")
    classifier_accuracy = measure_classifier(classifier, test) if test else None
    classes = source.classes
    chunk = math.ceil(CHUNK / classes) * classes  # whole cycles of labels, as the test requires
    interval = math.ceil(TEST_INTERVAL / chunk) * chunk
    max_pairs = MAX_PAIRS // interval * interval  # the last pairs are tested too
    labels = torch.arange(chunk) % classes
    counts, seed = PairCounts(0, 0, 0), REFERENCE_SEED
    trained_correct = exported_correct = 0
    passed = failed = False
    logged = time.perf_counter()
    _logger.info(
        "quality gate: comparing label accuracies on at least %s and at most %s pairs of images",
        f"{interval:,}",
        f"{max_pairs:,}",
    )
    while counts.images < max_pairs and not passed and not failed:
        trained, exported = (
            predict_with_features(classifier, each.generate(labels))[1] == labels
            for each in (torch_source(source, seed), onnx_source(generator, seed))
        )
        seed += 1  # generate() begins at index 0, so another seed gives new noise
        lost, gained = int((trained & ~exported).sum()), int((exported & ~trained).sum())
        counts += PairCounts(chunk, lost, gained)
        trained_correct += int(trained.sum())
        exported_correct += int(exported.sum())
        if counts.images % interval == 0:
            failed, passed = loss_exceeds(counts, max_loss), loss_is_within(counts, max_loss)
        if time.perf_counter() - logged >= STEP_SECONDS:
            logged = time.perf_counter()
            _logger.info("quality gate: %s pairs compared", f"{counts.images:,}")
    images = counts.images
    trained_accuracy, exported_accuracy = trained_correct / images, exported_correct / images
    warn_if_low(trained_accuracy, f"the trained network in the quality gate ({images:,} images)")
    if failed:
        raise VerificationError(
            f"the exported file loses more than {max_loss * 100:.4g} percentage points of label "
            f"accuracy ({exported_accuracy:.2%} instead of {trained_accuracy:.2%}, proven by "
            f"{images:,} images), so nothing was written; name the model's --dataset if it was not "
            f"trained on {data.name}, or try another --precision, a larger --max-accuracy-loss, or "
            "--no-quality-gate"
        )
    if not passed:
        _logger.info(
            "note: %s images do not decide whether the loss of label accuracy exceeds %.4g points",
            f"{images:,}",
            max_loss * 100,
        )
    return GateResult(
        label_accuracy=round(exported_accuracy, 5),
        change=round(exported_accuracy - trained_accuracy, 5),
        images=images,
        proven=passed,
        classifier_accuracy=None if classifier_accuracy is None else round(classifier_accuracy, 4),
    )


def measure_quality(
    generator: ImageGenerator, *, data: EvaluationData, cache_dir: Path
) -> dict[str, float]:
    """Measure the images of an exported file with the evaluation classifier.

    Args:
        generator: the exported file.
        data: the real images, as load_evaluation_data() returns them.
        cache_dir: as in compare_accuracy().

    Returns:
        The metrics of `cgan-eval --quick` that are defined for this dataset, and
        classifier_accuracy, the accuracy of the evaluation classifier on the real test set.

    Raises:
        cgan_runtime.OutputError: cache_dir is not writable.
    """
    evaluator = Evaluator(data, cache_dir)
    # Messages must not show the temporary name that the file still has.
    source = replace(onnx_source(generator), name="the exported file")
    metrics = evaluator.evaluate(source, quick=True).metrics
    metrics["classifier_accuracy"] = round(evaluator.classifier_accuracy, 4)
    return {key: value for key, value in metrics.items() if value is not None}
