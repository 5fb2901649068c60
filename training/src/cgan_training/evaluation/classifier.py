"""The evaluation classifier: a small network that measures the label accuracy of generated images.

Images are uint8 ``[n, channels, height, width]``, gray or RGB; the classifier scales them itself.
Training uses its own random generators and does not change torch's global random state.
"""

import hashlib
import logging
import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_runtime.errors import OutputError
from cgan_runtime.files import make_folder
from cgan_runtime.model_file.contract import ImageShape
from cgan_training.archive import load_archive, save_archive
from cgan_training.data import Dataset
from cgan_training.evaluation.classifier_progress import ClassifierProgress
from cgan_training.evaluation.classifier_state import ClassifierTrainingState
from cgan_training.hardware.precision import supports_bf16

VERSION = "1"  # increment it if a change of the code, not of a setting, alters weights
SEED = 0  # seed of the weights, the shuffling and the augmentation
BATCH_SIZE = 1000  # images per forward pass after training, to limit the memory

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassifierSettings:
    """All constants that determine the weights; the name of the cache file depends on them."""

    widths: tuple[int, ...] = (32, 64, 64, 128, 128)  # channels of the 3x3 convolutions
    pooled_after: tuple[int, ...] = (0, 2)  # convolutions (indices) followed by a 2x2 max pooling
    batch_size: int = 128
    epochs: int = 10
    min_steps: int = 200  # a small dataset gets more epochs to reach this number
    max_learning_rate: float = 0.15
    warmup_fraction: float = 0.25
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    max_stretch: float = 0.12  # augmentation: relative change of each side
    max_shear: float = 0.2  # off-diagonal matrix entries; allows rotations of up to 11 degrees
    max_shift: float = 0.18  # in units of half a side; 2.5 of 28 pixels


SETTINGS = ClassifierSettings()


class EvaluationClassifier(nn.Module):
    """A convolutional classifier."""

    def __init__(self, classes: int, image_shape: ImageShape) -> None:
        super().__init__()
        self.image_shape = image_shape
        layers: list[nn.Module] = []
        inputs = image_shape[0]
        for i, outputs in enumerate(SETTINGS.widths):
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
            if i in SETTINGS.pooled_after:  # pooling first leaves batch norm a quarter of the work
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = nn.Linear(inputs, classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate activations, float32 [n, 128], 0 or more.

        Args:
            images: uint8 [n, channels, height, width].

        Raises:
            ValueError: the images have a different dtype or shape.
        """
        if images.dtype != torch.uint8 or images.shape[1:] != self.image_shape:
            raise ValueError(
                f"the classifier expects uint8 [n, {', '.join(map(str, self.image_shape))}], "
                f"got {images.dtype} {list(images.shape)}"
            )
        maps: Tensor = self.layers(images.float() / 255)  # [n, 128, height / 4, width / 4]
        return maps.float().mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float32 [n, classes], of the images that features() accepts."""
        logits: Tensor = self.head(self.features(images))
        return logits.float()


def train_classifier(
    images: Tensor,
    labels: Tensor,
    *,
    classes: int,
    epochs: int | None = None,
    state_path: Path | None = None,
) -> EvaluationClassifier:
    """Train a classifier on the CPU, and return it in eval mode. The progress is logged.

    The same arguments on the same machine give the same weights, even if the training was
    interrupted and continued from its state file.

    Args:
        images: uint8 [n, channels, height, width], n >= 1.
        labels: int64 [n], 0 <= label < classes.
        classes: number of labels.
        epochs: passes over the dataset, at least 1; by default the number depends on n.
        state_path: file for the state after each epoch. If it exists, the training continues from
            it, so it must belong to these images and labels.

    Raises:
        OutputError: state_path cannot be written before the first epoch.
    """
    batch_size = min(SETTINGS.batch_size, len(images))
    batches = len(images) // batch_size
    if epochs is None:
        epochs = max(SETTINGS.epochs, math.ceil(SETTINGS.min_steps / batches))
    channels, height, width = images.shape[1:]
    classifier = _untrained_classifier(classes, (channels, height, width)).train()
    optimizer = torch.optim.SGD(
        classifier.parameters(),
        momentum=SETTINGS.momentum,
        nesterov=True,
        weight_decay=SETTINGS.weight_decay,
    )
    steps = epochs * batches
    if steps * SETTINGS.warmup_fraction == 1:  # OneCycleLR divides by the warmup steps minus 1
        steps += 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        SETTINGS.max_learning_rate,
        total_steps=steps,
        pct_start=SETTINGS.warmup_fraction,
        cycle_momentum=False,
    )
    rng = torch.Generator().manual_seed(SEED)
    bf16 = supports_bf16(torch.device("cpu"))
    state = None
    if state_path is not None:
        state = ClassifierTrainingState(
            state_path, classifier, optimizer, schedule, rng, epochs, batches
        )
    done = state.restore() if state else 0
    progress = ClassifierProgress(epochs, batches, batch_size, done)
    for epoch in range(done, epochs):
        order = torch.randperm(len(images), generator=rng)
        for batch in order[: batches * batch_size].split(batch_size):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = classifier(_augment(images[batch], rng))
            loss = functional.cross_entropy(
                logits, labels[batch], label_smoothing=SETTINGS.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.step(loss)
        if state and epoch + 1 < epochs:
            state.save(epoch + 1)
    return classifier.eval()


def predict_with_features(
    classifier: EvaluationClassifier, images: Tensor
) -> tuple[Tensor, Tensor]:
    """Return features, float32 [n, 128], and predicted labels, int64 [n].

    The classifier must be in eval mode. See features() for the images and errors.
    """
    with torch.inference_mode():
        features = [classifier.features(batch) for batch in images.split(BATCH_SIZE)]
        labels = [classifier.head(batch).argmax(1) for batch in features]
    return torch.cat(features), torch.cat(labels)


def label_accuracy(classifier: EvaluationClassifier, images: Tensor, labels: Tensor) -> float:
    """Return the share of images, 0 to 1, whose predicted label equals the given label, int64 [n].

    The classifier must be in eval mode. See features() for the images and errors.
    """
    return (predict_with_features(classifier, images)[1] == labels).double().mean().item()


def classification_accuracy_score(
    images: Tensor, labels: Tensor, test: Dataset, *, epochs: int = 3
) -> float:
    """Return the accuracy on real test images, 0 to 1, of a classifier trained on generated ones.

    It shows how well generated images replace real training images (Ravuri & Vinyals 2019,
    section 3). It also drops if they lack variety, which the other metrics may miss.

    Args:
        images: uint8 [n, channels, height, width]; n should be the size of the training set.
        labels: int64 [n], 0 <= label < test.classes.
        test: the test set.
        epochs: passes over the images; 3 give MNIST's 60,000 real images a score of about 99.3 %.
    """
    classifier = train_classifier(images, labels, classes=test.classes, epochs=epochs)
    return label_accuracy(classifier, test.images, test.labels)


def classifier_file_name(dataset: Dataset) -> str:
    """Return the name of a classifier's cache file, with a hash of its dataset and settings."""
    key = SETTINGS, dataset.classes, SEED, dataset.images.shape
    digest = hashlib.sha256(repr(key).encode())
    for data in (dataset.images, dataset.labels):
        digest.update(data.numpy().tobytes())
    return f"classifier-v{VERSION}-{digest.hexdigest()[:16]}.pt"


def load_or_train_classifier(
    dataset: Dataset, cache_dir: Path, skip_hint: str = ""
) -> EvaluationClassifier:
    """Load the classifier of a dataset from cache_dir, or train it and store it there.

    An interrupted training continues after its last complete epoch. The log message about the
    duration ends with `skip_hint`, which says how to skip the evaluation.

    Raises:
        OutputError: cache_dir cannot be written.
    """
    path = cache_dir / classifier_file_name(dataset)
    state_path = path.with_suffix(".state.pt")
    classifier = _load_classifier(path, dataset) if path.exists() else None
    if classifier is not None:
        _logger.info("using the evaluation classifier of %s in %s", dataset.name, path)
    else:
        _logger.info(
            "training the evaluation classifier of %s, which takes minutes; it is stored in %s, "
            "and after Ctrl-C the next command continues the training%s",
            dataset.name,
            cache_dir,
            f"; {skip_hint}" if skip_hint else "",
        )
        make_folder(cache_dir, "choose another --cache-dir")
        classifier = train_classifier(
            dataset.images, dataset.labels, classes=dataset.classes, state_path=state_path
        )
        try:
            save_archive(dict(classifier.state_dict()), path)
        except OutputError as error:
            _logger.warning("the evaluation classifier must be trained again next time: %s", error)
            return classifier
    with suppress(OSError):  # there is no such file, or another process deleted it
        state_path.unlink()
    return classifier


def _load_classifier(path: Path, dataset: Dataset) -> EvaluationClassifier | None:
    """Load a classifier in eval mode. Return None if its file is damaged."""
    classifier = _untrained_classifier(dataset.classes, dataset.image_shape)
    try:
        classifier.load_state_dict(load_archive(path))
    except Exception as error:  # noqa: BLE001 - torch raises many types for damaged weights
        _logger.warning("cannot read the classifier in %s, training it again: %s", path, error)
        return None
    return classifier.eval()


def _untrained_classifier(classes: int, image_shape: ImageShape) -> EvaluationClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)  # torch.manual_seed() also seeds CUDA
        return EvaluationClassifier(classes, image_shape)


def _augment(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return the images (uint8), each with its own small random stretch, shear and shift."""
    stretch, shear, shift = SETTINGS.max_stretch, SETTINGS.max_shear, SETTINGS.max_shift
    limits = torch.tensor([[stretch, shear, shift], [shear, stretch, shift]])
    change = (torch.rand(len(images), 2, 3, generator=rng) * 2 - 1) * limits
    theta = torch.eye(2, 3) + change  # [n, 2, 3]
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images.float(), grid, align_corners=False).round().byte()
