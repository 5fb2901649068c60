"""Quality while training: `cgan-train --eval-every`."""

from dataclasses import asdict
from pathlib import Path

import torch

from cgan_training.data import Dataset, load_dataset
from cgan_training.evaluation.classifier import load_or_train_classifier
from cgan_training.evaluation.quality import Reference
from cgan_training.networks import Generator, to_uint8

BATCH = 1000
SEED = 2014
LEAST_IMAGES = 1000  # drawn where the test set has fewer


class EpochEvaluator:
    """Measures generators against a data set's held-out part, always with the same noise.

    Args:
        dataset: what they learn.
        name: by which load_dataset() finds it.
        data_dir: torchvision's root.
        cache_dir: where the judge is kept; at first use training it takes some minutes.

    Raises:
        DatasetError: there is no held-out part.
        OutputError: cache_dir cannot be written.
    """

    def __init__(self, dataset: Dataset, name: str, data_dir: Path, cache_dir: Path) -> None:
        test, _ = load_dataset(name, data_dir, train=False)
        judge = load_or_train_classifier(
            dataset.images, dataset.labels, classes=dataset.classes, cache_dir=cache_dir
        )
        self._reference = Reference.of(
            judge, (test.images, test.labels), (dataset.images, dataset.labels)
        )
        times = -(-LEAST_IMAGES // len(test.labels))
        self._labels = test.labels.repeat(times)

    def __call__(self, generator: Generator) -> dict[str, float]:
        """Return the fields of measures.Quality by name, for a generator in eval mode."""
        device = next(generator.parameters()).device
        noise = torch.randn(
            (len(self._labels), generator.noise_dim), generator=torch.Generator().manual_seed(SEED)
        )
        with torch.inference_mode():
            images = [
                to_uint8(generator(some.to(device), label.to(device))).cpu()
                for some, label in zip(noise.split(BATCH), self._labels.split(BATCH), strict=True)
            ]
        quality = asdict(self._reference.measure(torch.cat(images), self._labels))
        return {name: round(figure, 4) for name, figure in quality.items()}
