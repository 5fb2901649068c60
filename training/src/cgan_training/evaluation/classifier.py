"""The judge: a small classifier that reads drawn digits, to measure label accuracy.

Images are uint8 ``[n, 1, height, width]`` with 0 as background; the judge scales them itself.
Training draws from generators of its own and leaves torch's global random state as it was.
"""

import hashlib
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_runtime.errors import OutputError
from cgan_training.archive import load_archive, save_archive
from cgan_training.hardware.precision import supports_bf16

CLASSIFIER_VERSION = "1"  # raise it when a change of code, not of a setting, changes the weights

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassifierSettings:
    """Every constant that decides the weights; its repr is part of the cache file's name."""

    widths: tuple[int, ...] = (32, 64, 64, 128, 128)  # channels of the 3x3 convolutions
    halved_after: tuple[int, ...] = (0, 2)  # convolutions whose maps are pooled 2x2
    batch_size: int = 128
    epochs: int = 10
    least_steps: int = 200  # a small set is passed more often, until it has this many steps
    max_learning_rate: float = 0.15
    warmup_share: float = 0.25
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    stretch: float = 0.12  # augmentation: relative change of each side, at most
    skew: float = 0.2  # of each off-diagonal entry, so up to 11 degrees of rotation
    shift: float = 0.18  # in half sides, so 2.5 of 28 pixels


SETTINGS = ClassifierSettings()


class EvaluationClassifier(nn.Module):
    """A convolutional classifier of uint8 images with one channel.

    Args:
        classes: number of labels.
        height: of the image, in pixels, at least 4.
        width: of the image, in pixels, at least 4.
    """

    def __init__(self, classes: int, height: int = 28, width: int = 28) -> None:
        super().__init__()
        self.classes, self.height, self.width = classes, height, width
        layers: list[nn.Module] = []
        inputs = 1
        for i, outputs in enumerate(SETTINGS.widths):
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
            if i in SETTINGS.halved_after:  # pooled first, the norm has a quarter of the work
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = nn.Linear(SETTINGS.widths[-1], classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate activations, float32 [n, 128], 0 or more.

        Args:
            images: uint8 [n, 1, height, width], on the judge's device.

        Raises:
            ValueError: the images have another dtype or shape.
        """
        if images.dtype != torch.uint8 or images.shape[1:] != (1, self.height, self.width):
            raise ValueError(
                f"the judge reads uint8 [n, 1, {self.height}, {self.width}], "
                f"not {images.dtype} {list(images.shape)}"
            )
        maps: Tensor = self.layers(images.float() / 255)  # [n, 128, height / 4, width / 4]
        return maps.float().mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float32 [n, classes]; takes and raises what features() does."""
        logits: Tensor = self.head(self.features(images))
        return logits.float()


def train_classifier(
    images: Tensor,
    labels: Tensor,
    *,
    classes: int,
    seed: int = 0,
    epochs: int | None = None,
    device: torch.device | str = "cpu",
) -> EvaluationClassifier:
    """Train a judge. The same arguments on the same machine give the same weights.

    Args:
        images: uint8 [n, 1, height, width], n >= 1.
        labels: int64 [n], 0 <= label < classes.
        classes: number of labels.
        seed: of weights, shuffling and augmentation.
        epochs: passes over the set; None chooses by its size.
        device: where to train, and where the judge stays.

    Returns:
        The judge in eval mode, float32.

    Raises:
        ValueError: images and labels do not fit, a label or epochs is out of range.
    """
    _require_pairs(images, labels)
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(f"labels must be 0 or more and below {classes}")
    size = min(SETTINGS.batch_size, len(images))
    batches = len(images) // size
    if epochs is None:
        epochs = max(SETTINGS.epochs, math.ceil(SETTINGS.least_steps / batches))
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}; it must be at least 1")
    device = torch.device(device)
    judge = _untrained(classes, images, seed).to(device).train()
    images, labels = images.to(device), labels.to(device)
    optimizer = torch.optim.SGD(
        judge.parameters(),
        momentum=SETTINGS.momentum,
        nesterov=True,
        weight_decay=SETTINGS.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        SETTINGS.max_learning_rate,
        total_steps=epochs * batches,
        pct_start=SETTINGS.warmup_share,
        cycle_momentum=False,
    )
    generator = torch.Generator().manual_seed(seed)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=supports_bf16(device))
    with torch.backends.cudnn.flags(enabled=True, deterministic=True):
        for _ in range(epochs):
            order = torch.randperm(len(images), generator=generator).to(device)
            for start in range(0, batches * size, size):
                chosen = order[start : start + size]
                with autocast:
                    logits = judge(_moved(images[chosen], generator))
                loss = functional.cross_entropy(
                    logits, labels[chosen], label_smoothing=SETTINGS.label_smoothing
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return judge.eval()


def read_labels(judge: EvaluationClassifier, images: Tensor, batch_size: int = 1000) -> Tensor:
    """Return the label that the judge reads in each image, int64 [n] on the images' device.

    Args:
        judge: in eval mode.
        images: uint8 [n, 1, height, width] on any device.
        batch_size: images a pass; bounds the memory.

    Raises:
        ValueError: the images have another dtype or shape than the judge reads.
    """
    read = torch.empty(len(images), dtype=torch.int64, device=images.device)
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            read[part] = judge(images[part].to(judge.head.weight.device)).argmax(dim=1)
    return read


def label_accuracy(judge: EvaluationClassifier, images: Tensor, labels: Tensor) -> float:
    """Return the share, 0 .. 1, of the images that the judge reads as their label.

    Args:
        judge: in eval mode.
        images: uint8 [n, 1, height, width], n >= 1.
        labels: int64 [n].

    Raises:
        ValueError: images and labels do not fit each other or the judge.
    """
    _require_pairs(images, labels)
    return (read_labels(judge, images) == labels.to(images.device)).double().mean().item()


def classifier_file_name(images: Tensor, labels: Tensor, *, classes: int, seed: int = 0) -> str:
    """Return what the judge of a set is kept as; the arguments are those of train_classifier().

    The name hashes the data and the settings, so that a change of either trains anew.

    Raises:
        ValueError: images and labels do not fit.
    """
    _require_pairs(images, labels)
    digest = hashlib.sha256(repr((SETTINGS, classes, seed, images.shape)).encode())
    for data in (images, labels):
        digest.update(data.cpu().numpy().tobytes())
    return f"judge-v{CLASSIFIER_VERSION}-{digest.hexdigest()[:16]}.pt"


def load_or_train_classifier(
    images: Tensor,
    labels: Tensor,
    *,
    classes: int,
    cache_dir: Path,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> EvaluationClassifier:
    """Return the judge of this set from cache_dir, or train it and keep it there.

    Takes, returns and raises what train_classifier() does. A file that cannot be read is replaced.

    Raises:
        OutputError: cache_dir cannot be written.
    """
    path = cache_dir / classifier_file_name(images, labels, classes=classes, seed=seed)
    if path.exists():
        judge = _untrained(classes, images, seed)
        try:
            judge.load_state_dict(load_archive(path))
        except Exception as error:  # noqa: BLE001 - damage raises anything, even struct.error
            _log.warning("cannot read the judge in %s, training it anew: %s", path, error)
        else:
            return judge.to(device).eval()
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)  # before the minutes that training takes
    except OSError as error:
        raise OutputError(
            f"cannot make {cache_dir}: {error.strerror or error}; choose another --cache-dir"
        ) from error
    judge = train_classifier(images, labels, classes=classes, seed=seed, device=device)
    save_archive({key: value.cpu() for key, value in judge.state_dict().items()}, path)
    return judge


def _require_pairs(images: Tensor, labels: Tensor) -> None:
    if images.dtype != torch.uint8 or labels.dtype != torch.int64:
        raise ValueError(f"need uint8 images, int64 labels, not {images.dtype}, {labels.dtype}")
    if images.ndim != 4 or labels.shape != images.shape[:1] or not len(labels):
        raise ValueError(f"images {list(images.shape)} and labels {list(labels.shape)} do not fit")


def _untrained(classes: int, images: Tensor, seed: int) -> EvaluationClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach CUDA's too
        return EvaluationClassifier(classes, images.shape[2], images.shape[3])


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images (uint8), each turned, stretched and shifted by its own small amount."""
    stretch, skew, shift = SETTINGS.stretch, SETTINGS.skew, SETTINGS.shift
    most = torch.tensor([[stretch, skew, shift], [skew, stretch, shift]])
    change = (torch.rand(len(images), 2, 3, generator=generator) * 2 - 1) * most
    theta = (torch.eye(2, 3) + change).to(images.device)  # [n, 2, 3]
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images.float(), grid, align_corners=False).round().byte()
