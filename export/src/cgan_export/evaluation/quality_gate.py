"""The quality of an exported file's images: the quality gate and the figures in its metadata."""

from dataclasses import dataclass
from pathlib import Path

import torch

from cgan_export.errors import VerificationError
from cgan_export.evaluation.evaluator import Evaluator
from cgan_export.evaluation.image_sources import onnx_source, torch_source
from cgan_runtime import ImageGenerator
from cgan_training.data import load_dataset
from cgan_training.errors import DatasetError
from cgan_training.evaluation.classifier import label_accuracy, load_or_train_classifier
from cgan_training.model_file import Model

IMAGES = 10_000  # that the gate compares
MAX_ACCURACY_LOSS = 0.001


@dataclass(frozen=True)
class GateResult:
    """Result of the quality gate."""

    label_accuracy: float  # of the exported file, 0 .. 1
    change: float  # compared with the trained network, -1 .. 1


def compare_accuracy(
    generator: ImageGenerator,
    model: Model,
    *,
    data_dir: Path,
    cache_dir: Path,
    dataset: str | None = None,
) -> GateResult:
    """Compare the label accuracy of an exported file with that of the trained network.

    Both generate 10,000 images from the same noise, and the evaluation classifier predicts their
    labels.

    Args:
        generator: the exported file.
        model: the model that was exported.
        data_dir: the root folder of torchvision's datasets.
        cache_dir: folder of the evaluation classifier, which is trained at first use. That takes
            some minutes.
        dataset: a name or path for load_dataset(); the model's own dataset name by default.

    Raises:
        VerificationError: the accuracy is lower by more than 0.001, or the dataset is not
            available.
    """
    try:
        data = load_dataset(dataset or model.dataset, data_dir)[0]
    except DatasetError as error:
        raise VerificationError(
            f"the quality gate needs the dataset: {error}; or pass --no-quality-gate"
        ) from error
    classifier = load_or_train_classifier(data, cache_dir)
    labels = torch.arange(IMAGES) % model.generator.classes
    exported, trained = (
        label_accuracy(classifier, source.generate(labels), labels)
        for source in (onnx_source(generator), torch_source(model))
    )
    change = round(exported - trained, 4)
    if change < -MAX_ACCURACY_LOSS:
        raise VerificationError(
            f"the label accuracy of the exported file is {exported:.2%}, more than "
            f"{MAX_ACCURACY_LOSS * 100} percentage points below the {trained:.2%} of the trained "
            "network, so nothing was written; try another --precision"
        )
    return GateResult(round(exported, 4), change)


def measure_quality(
    generator: ImageGenerator,
    *,
    data_dir: Path,
    cache_dir: Path,
    dataset: str | None = None,
) -> dict[str, float]:
    """Measure the images of an exported file with the evaluation classifier.

    Args:
        generator: the exported file.
        data_dir: as in compare_accuracy().
        cache_dir: as in compare_accuracy().
        dataset: as in compare_accuracy().

    Returns:
        The figures of `cgan-eval --quick`, and classifier_accuracy: the accuracy of the
        evaluation classifier on the real test set.

    Raises:
        cgan_training.errors.DatasetError: the dataset is not available.
    """
    evaluator = Evaluator(dataset or generator.info.dataset, data_dir, cache_dir, lambda _: None)
    figures = evaluator.evaluate(onnx_source(generator), quick=True).figures
    return {**figures, "classifier_accuracy": round(evaluator.classifier_accuracy, 4)}
