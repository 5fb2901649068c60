"""Measure what an exported file is worth, so that it can say so."""

from collections.abc import Callable
from pathlib import Path

from cgan_export.drawers import open_onnx
from cgan_export.evaluation import Examiner
from cgan_training.model_file import Model


def measure(
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
    examiner = Examiner(dataset or model.dataset, data_dir, cache_dir, say)
    figures = examiner.examine(open_onnx(path), quick=True).figures
    return {**figures, "judge_accuracy": round(examiner.judge_accuracy, 4)}
