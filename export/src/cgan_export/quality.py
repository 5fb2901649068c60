"""Measure what a generator is worth, so that its file can say so."""

from pathlib import Path

from torch import arange, from_numpy

from cgan_export.verify import SEED, draw_with_torch
from cgan_training.data import load_dataset
from cgan_training.judge import label_accuracy, load_or_train_judge
from cgan_training.model_file import Model

IMAGES_PER_CLASS = 1000


def measure(
    model: Model, data_dir: Path, cache_dir: Path, dataset: str | None = None
) -> dict[str, float]:
    """Let a judge, trained on the data that the generator learnt, read what it draws.

    Args:
        model: the trained generator.
        data_dir: torchvision's root, where its data set lies or is put.
        dataset: by which load_dataset() finds what it learnt; its own word for it by default.
        cache_dir: where the judge is kept; training it takes some minutes.

    Returns:
        label_accuracy: the share, 0 .. 1, of 1,000 drawn images a class that the judge reads as
        the label asked for; judge_accuracy: its share of the real test set.

    Raises:
        cgan_training.errors.DatasetError: the data cannot be had.
    """
    name = dataset or model.dataset
    train, _ = load_dataset(name, data_dir)
    test, _ = load_dataset(name, data_dir, train=False)
    judge = load_or_train_judge(
        train.images, train.labels, classes=train.classes, cache_dir=cache_dir
    )
    labels = arange(train.classes).repeat(IMAGES_PER_CLASS)
    drawn = from_numpy(draw_with_torch(model, labels.tolist(), SEED, 0))
    return {
        "label_accuracy": round(label_accuracy(judge, drawn, labels), 4),
        "judge_accuracy": round(label_accuracy(judge, test.images, test.labels), 4),
    }
