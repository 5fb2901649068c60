"""The quality of an exported file's images: the quality gate and the figures in its metadata."""

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cgan_export.errors import VerificationError
from cgan_export.evaluation.datasets import EvaluationData
from cgan_export.evaluation.evaluator import Evaluator, measure_classifier, warn_if_low
from cgan_export.evaluation.image_sources import CHUNK, onnx_source, torch_source
from cgan_export.evaluation.paired_test import PairCounts, exceeds, is_within
from cgan_export.source.generator_source import GeneratorSource
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import REFERENCE_SEED
from cgan_training.data import Dataset
from cgan_training.evaluation.classifier import load_or_train_classifier, predict_with_features
from cgan_training.evaluation.classifier_progress import STEP_SECONDS

BATCH_IMAGES = 10_000  # that each network generates before the result is looked at
MAX_IMAGES = 100_000
MAX_ACCURACY_LOSS = 0.001

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateResult:
    """Result of the quality gate that a file passed."""

    label_accuracy: float  # of the exported file, 0 .. 1
    change: float  # compared with the trained network, -1 .. 1
    images: int  # that each of them generated
    proven: bool  # whether the loss is proven to be within the limit; otherwise it is undecided
    classifier_accuracy: float | None = None  # on real test images, if they were given

    @property
    def trained_label_accuracy(self) -> float:
        """Label accuracy of the trained network, 0 to 1."""
        return round(self.label_accuracy - self.change, 5)


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
    their labels. paired_test.py compares them image by image. More images are generated until it
    is proven, with an error level of 1 %, on which side of the limit the loss lies, up to 100,000.

    Args:
        generator: the exported file.
        source: the generator that was exported.
        data: the training images, from load_training_images().
        cache_dir: folder of the evaluation classifier, which is trained at first use. That takes
            some minutes.
        test: real test images, on which the accuracy of the classifier is measured.
        max_loss: largest accepted loss of label accuracy, 0 to 1.

    Raises:
        VerificationError: the accuracy is lower by more than max_loss.
        cgan_runtime.OutputError: cache_dir is not writable.
    """
    classifier = load_or_train_classifier(data, cache_dir, "--no-quality-gate omits it")
    classifier_accuracy = measure_classifier(classifier, test) if test else None
    classes = source.classes
    chunk = -(-CHUNK // classes) * classes  # whole cycles of labels, as the test requires
    batch = -(-BATCH_IMAGES // chunk) * chunk
    labels = torch.arange(chunk) % classes
    counts, correct, seed = PairCounts(0, 0, 0), [0, 0], REFERENCE_SEED
    proven = refuted = False
    logged = time.perf_counter()
    _log.info(
        "quality gate: comparing the label accuracies of %s to %s pairs of images",
        *(f"{batch:,}", f"{MAX_IMAGES:,}"),
    )
    while counts.images < MAX_IMAGES and not proven and not refuted:
        trained, exported = (
            predict_with_features(classifier, each.generate(labels))[1] == labels
            for each in (torch_source(source, seed), onnx_source(generator, seed))
        )
        seed += 1
        lost, gained = int((trained & ~exported).sum()), int((exported & ~trained).sum())
        counts += PairCounts(chunk, lost, gained)
        correct = [correct[0] + int(trained.sum()), correct[1] + int(exported.sum())]
        if counts.images % batch == 0:
            refuted, proven = exceeds(counts, max_loss), is_within(counts, max_loss)
        if time.perf_counter() - logged >= STEP_SECONDS:
            logged = time.perf_counter()
            _log.info("quality gate: %s pairs compared", f"{counts.images:,}")
    subject = f"the trained network in the quality gate ({counts.images:,} images)"
    warn_if_low(correct[0] / counts.images, subject)
    if refuted:
        raise VerificationError(_refusal(data, max_loss, correct, counts.images))
    trained_accuracy, exported_accuracy = (each / counts.images for each in correct)
    if not proven:
        _log.info(
            "note: %s images do not decide whether the loss of label accuracy exceeds %.4g points",
            f"{counts.images:,}",
            max_loss * 100,
        )
    change = round(exported_accuracy - trained_accuracy, 5)
    if classifier_accuracy is not None:
        classifier_accuracy = round(classifier_accuracy, 4)
    accuracy = round(exported_accuracy, 5)
    return GateResult(accuracy, change, counts.images, proven, classifier_accuracy)


def measure_quality(
    generator: ImageGenerator, *, data: EvaluationData, cache_dir: Path
) -> dict[str, float]:
    """Measure the images of an exported file with the evaluation classifier.

    Args:
        generator: the exported file.
        data: the real images, from load_evaluation_data().
        cache_dir: as in compare_accuracy().

    Returns:
        The figures of `cgan-eval --quick` that are defined for this dataset, and
        classifier_accuracy: the accuracy of the evaluation classifier on the real test set.

    Raises:
        cgan_runtime.OutputError: cache_dir is not writable.
    """
    evaluator = Evaluator(data, cache_dir)
    source = replace(onnx_source(generator), name="the exported file")  # not a temporary name
    figures = evaluator.evaluate(source, quick=True).figures
    figures["classifier_accuracy"] = round(evaluator.classifier_accuracy, 4)
    return {name: figure for name, figure in figures.items() if figure is not None}


def _refusal(data: Dataset, max_loss: float, correct: list[int], images: int) -> str:
    trained, exported = correct
    return (
        f"the label accuracy of the exported file is {exported / images:.2%}, and that of the "
        f"trained network {trained / images:.2%}: {images:,} images prove a loss of more than "
        f"{max_loss * 100:.4g} percentage points, so nothing was written; if the model was not "
        f"trained on {data.name}, name its --dataset; otherwise try another --precision, a larger "
        "--max-accuracy-loss, or --no-quality-gate"
    )
