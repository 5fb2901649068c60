"""What an exported file's images are worth, so that the file can say so."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from cgan_export.errors import VerificationError
from cgan_export.evaluation.evaluator import Evaluator
from cgan_export.evaluation.image_sources import open_onnx_source, open_source
from cgan_training.data import load_dataset
from cgan_training.errors import DatasetError
from cgan_training.evaluation.classifier import label_accuracy, load_or_train_classifier
from cgan_training.model_file import Model

IMAGES = 10_000  # that the gate compares
MOST_LOST = 0.001  # of label accuracy: a tenth of a point


@dataclass(frozen=True)
class GateResult:
    """What a judge made of a file's images beside the trained network's."""

    label_accuracy: float  # of the file, 0 .. 1
    change: float  # from the network's, -1 .. 1


def compare_accuracy(
    path: Path,
    model: Model,
    *,
    model_path: Path,
    data_dir: Path,
    cache_dir: Path,
    dataset: str | None = None,
) -> GateResult:
    """Let a judge read the same 10,000 images, drawn by a file and by the trained network.

    Args:
        path: the exported file.
        model: what it was made of.
        model_path: where that lies.
        data_dir: torchvision's root, where its data set lies or is put.
        cache_dir: where the judge is kept; training it takes some minutes.
        dataset: by which load_dataset() finds what it learnt; its own word for it by default.

    Raises:
        VerificationError: the file's is lower by more than 0.001, or the data cannot be had.
    """
    try:
        data = load_dataset(dataset or model.dataset, data_dir)[0]
    except DatasetError as error:
        raise VerificationError(
            f"the quality gate needs the data: {error}; or go without it, --no-quality-gate"
        ) from error
    judge = load_or_train_classifier(
        data.images, data.labels, classes=data.classes, cache_dir=cache_dir
    )
    labels = torch.arange(IMAGES) % model.generator.classes
    drawn, trained = (
        label_accuracy(judge, drawer.draw(labels), labels)
        for drawer in (open_onnx_source(path), open_source(model_path))
    )
    change = round(drawn - trained, 4)
    if change < -MOST_LOST:
        raise VerificationError(
            f"a judge reads {drawn:.2%} of the exported file's images and {trained:.2%} of the "
            f"trained network's, {MOST_LOST:.1%} less is allowed; nothing was written, "
            "try --precision fp16"
        )
    return GateResult(round(drawn, 4), change)


def measure_quality(
    path: Path,
    model: Model,
    *,
    data_dir: Path,
    cache_dir: Path,
    dataset: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """Let a judge, trained on the data that the generator learnt, look at what a file draws.

    Args:
        path: the exported file.
        model: what it was made of.
        data_dir: torchvision's root, where its data set lies or is put.
        cache_dir: where the judge is kept; training it takes some minutes.
        dataset: by which load_dataset() finds what it learnt; its own word for it by default.
        say: told what takes long, a line at a time.

    Returns:
        What `cgan-eval --quick` measures, and judge_accuracy: the share of the real test set that
        the judge reads right.

    Raises:
        cgan_training.errors.DatasetError: the data cannot be had.
    """
    examiner = Evaluator(dataset or model.dataset, data_dir, cache_dir, say)
    figures = examiner.evaluate(open_onnx_source(path), quick=True).figures
    return {**figures, "judge_accuracy": round(examiner.judge_accuracy, 4)}
