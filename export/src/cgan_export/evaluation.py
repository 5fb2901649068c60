"""What `cgan-eval` measures."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgan_export.drawers import Drawer
from cgan_export.errors import EvaluationError
from cgan_training.data import Dataset, load_dataset
from cgan_training.judge import label_accuracy, load_or_train_judge
from cgan_training.measures import (
    Reference,
    classification_accuracy_score,
    look,
    memorisation,
    nearest_training_images,
    parzen_log_likelihood,
)

MOST_IMAGES, LEAST_IMAGES = 10_000, 1_000  # drawn: in between, as many as the test set has
LEAST_CAS_IMAGES = 10_000  # drawn for that: as many as the training set has, or so many


@dataclass(frozen=True)
class Evaluation:
    """Every figure of one drawer, with what its pictures need."""

    name: str
    figures: dict[str, float]  # by name, in the order of the table
    accuracy_by_label: tuple[float, ...]
    confusion: list[list[int]]  # [asked][read], of the judge
    images: Tensor  # uint8 [n, 1, height, width]
    labels: Tensor  # int64 [n]
    nearest: Tensor  # int64 [n], index of the nearest training image

    def to_dict(self) -> dict[str, Any]:
        """Return what --json prints."""
        return {
            "model": self.name,
            "figures": self.figures,
            "accuracy_by_label": list(self.accuracy_by_label),
            "confusion": self.confusion,
        }


class Examiner:
    """Holds the real data and the judge, and measures drawers.

    Args:
        dataset: a data set's name, or a folder's path.
        data_dir: torchvision's root.
        cache_dir: where the judge is kept; at first use training it takes some minutes.
        say: told what takes long, a line at a time.

    Raises:
        cgan_training.errors.TrainingError: the data cannot be had, or the cache not written.
    """

    def __init__(
        self, dataset: str, data_dir: Path, cache_dir: Path, say: Callable[[str], None]
    ) -> None:
        self._say = say
        self.train: Dataset = load_dataset(dataset, data_dir)[0]
        self.test: Dataset = load_dataset(dataset, data_dir, train=False)[0]
        say(f"the judge of {self.train.name}: trained at first use, in some minutes")
        self.judge = load_or_train_judge(
            self.train.images, self.train.labels, classes=self.train.classes, cache_dir=cache_dir
        )
        self.judge_accuracy = label_accuracy(self.judge, self.test.images, self.test.labels)
        say(f"it reads {self.judge_accuracy:.2%} of the real test set")
        self.reference = Reference.of(
            self.judge,
            (self.test.images, self.test.labels),
            (self.train.images, self.train.labels),
        )
        self._held_out = nearest_training_images(
            self.test.images, self.test.labels, (self.train.images, self.train.labels)
        )

    def examine(self, drawer: Drawer, *, quick: bool = False) -> Evaluation:
        """Measure a drawer.

        Args:
            drawer: what draws.
            quick: leave out the figures that take minutes: cas and parzen.

        Raises:
            EvaluationError: it draws images of another size, or of other classes.
        """
        self._require_fit(drawer)
        count = max(LEAST_IMAGES, min(MOST_IMAGES, len(self.test.labels)))
        self._say(f"drawing {count:,} images with {drawer.name}")
        labels = _cycled(self.test.labels, count)
        images = drawer.draw(labels)
        figures = asdict(self.reference.measure(images, labels))
        read = look(self.judge, images)[1]
        near = nearest_training_images(images, labels, (self.train.images, self.train.labels))
        figures["memorised"] = memorisation(near, self._held_out)
        if not quick:
            self._say("training a classifier on drawn images alone")
            count = max(LEAST_CAS_IMAGES, len(self.train.labels))
            wanted = _cycled(self.train.labels, count)
            figures["cas"] = classification_accuracy_score(
                (drawer.draw(wanted), wanted),
                (self.test.images, self.test.labels),
                classes=self.train.classes,
            )
            likelihood = parzen_log_likelihood(images, self.test.images)
            figures["parzen"] = likelihood.mean
            figures["parzen_error"] = likelihood.standard_error
        right = (read == labels).double()
        confusion = torch.zeros(2 * (self.train.classes,), dtype=torch.int64)
        confusion.index_put_((labels, read), torch.tensor(1), accumulate=True)
        return Evaluation(
            name=drawer.name,
            figures={name: round(figure, 4) for name, figure in figures.items()},
            accuracy_by_label=tuple(
                round(right[labels == label].mean().item(), 4)
                for label in range(self.train.classes)
            ),
            confusion=confusion.tolist(),
            images=images,
            labels=labels,
            nearest=near.index,
        )

    def _require_fit(self, drawer: Drawer) -> None:
        shape = (self.train.height, self.train.width)
        if drawer.shape != shape or len(drawer.class_names) != self.train.classes:
            raise EvaluationError(
                f"{drawer.name} draws {len(drawer.class_names)} classes of "
                f"{drawer.shape[0]} x {drawer.shape[1]} pixels, {self.train.name} has "
                f"{self.train.classes} of {shape[0]} x {shape[1]}; give the --dataset it learnt"
            )


def _cycled(labels: Tensor, count: int) -> Tensor:
    """Return so many labels in the proportions of a set's own."""
    return labels.repeat(-(-count // len(labels)))[:count]
