"""Measure quality metrics during training: `cgan-train --eval-every`."""

import math
from dataclasses import asdict
from pathlib import Path

import torch

from cgan_runtime.model_file.contract import REFERENCE_SEED
from cgan_training.data import Dataset, load_test_part
from cgan_training.evaluation.classifier import load_or_train_classifier, predict_with_features
from cgan_training.evaluation.quality import Reference
from cgan_training.networks import Generator, to_uint8

BATCH_SIZE = 1000
MIN_IMAGES = 1000  # generated images; the labels of a smaller test set are repeated


class EpochEvaluator:
    """Measures generators against the test part of a dataset, each time with the same noise.

    Args:
        dataset: the training part.
        name: the dataset's name or path; load_test_part() loads its test part.
        data_dir: torchvision's root folder.
        cache_dir: where the evaluation classifier is stored; its training takes some minutes.

    Raises:
        DatasetError: the dataset has no test part.
        OutputError: cache_dir cannot be written.
    """

    def __init__(self, dataset: Dataset, name: str, data_dir: Path, cache_dir: Path) -> None:
        test = load_test_part(dataset, name, data_dir)
        self._classifier = load_or_train_classifier(dataset, cache_dir)
        self._reference = Reference.fit(self._classifier, test, dataset)
        self._labels = test.labels.repeat(math.ceil(MIN_IMAGES / len(test.labels)))

    def __call__(self, generator: Generator) -> dict[str, float]:
        """Return the quality metrics of a generator in eval mode, without those that are NaN."""
        device = next(generator.parameters()).device
        rng = torch.Generator().manual_seed(REFERENCE_SEED)
        noise = torch.randn((len(self._labels), generator.noise_dim), generator=rng)
        batches = zip(noise.split(BATCH_SIZE), self._labels.split(BATCH_SIZE), strict=True)
        with torch.inference_mode():
            images = [
                to_uint8(generator(batch.to(device), labels.to(device))).cpu()
                for batch, labels in batches
            ]
        results = predict_with_features(self._classifier, torch.cat(images))
        quality = asdict(self._reference.measure(*results, self._labels))
        return {name: round(value, 4) for name, value in quality.items() if not math.isnan(value)}
