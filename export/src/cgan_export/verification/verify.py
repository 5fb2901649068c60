"""Verification that an exported file generates the images of the generator in PyTorch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from cgan_export.errors import VerificationError
from cgan_export.int8.quantization import QuantizedGenerator
from cgan_export.source.generator_source import GeneratorSource
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import REFERENCE_SEED, Golden
from cgan_runtime.noise import standard_normal

BATCH_SIZES = (1, 2, 33, 256)
MAX_VALUES = 2**24  # of the images to compare; above it, the images of a batch have several labels
MAX_GOLDEN = 2**20  # bytes of the golden sample
INTEGER_IMAGES = 500  # images of all labels that are compared with the integer arithmetic
LOCATED_IMAGES = 4  # images whose values are compared node by node if the verification fails
INDEPENDENCE_IMAGES = 64  # images generated in one batch and then one at a time


@dataclass(frozen=True)
class Tolerance:
    """Largest accepted pixel errors of a file, on the scale 0 to 255."""

    max_error: int
    mean_error: float
    batch_error: int = 1  # between an image generated alone and the same image in a batch
    remedy: str = "the traced graph computes something else; report this as a bug"


# The measured error is 0. Another version of ONNX Runtime may round a value that lies halfway
# between two quantization steps to the other step, which changes a pixel or two.
INTEGER_TOLERANCE = Tolerance(8, 0.005)


# Says where the values of images diverge, given their labels and the index of the first image.
Locate = Callable[[list[int], int], str]


@dataclass(frozen=True)
class PixelErrors:
    """Pixel errors of a file compared with PyTorch, on the scale 0 to 255."""

    max: int
    mean: float
    images: int  # number of images compared


def generate_with_torch(
    source: GeneratorSource, labels: list[int], seed: int, start: int
) -> NDArray[np.uint8]:
    """Return images of the generator in PyTorch, uint8 [n, channels, h, w], for the same noise."""
    noise = standard_normal(seed, start, len(labels), source.noise_dim)
    return source.generate(torch.from_numpy(noise), torch.tensor(labels)).numpy()


def golden_sample(generator: ImageGenerator) -> Golden:
    """Generate the golden sample of an exported file: one image per label, up to MAX_GOLDEN."""
    info = generator.info
    count = min(info.classes, max(1, MAX_GOLDEN // math.prod(info.image_shape)))
    labels = [index * info.classes // count for index in range(count)]
    images = generator.generate(labels, seed=REFERENCE_SEED)
    return Golden(seed=REFERENCE_SEED, labels=tuple(labels), images=images.tobytes())


def check_graph(path: Path) -> None:
    """Check an ONNX file with onnx's checker and shape inference.

    Raises:
        VerificationError: the file is not valid ONNX.
    """
    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VerificationError(
            f"onnx rejects the exported graph ({str(error).splitlines()[0]}); report this as a bug"
        ) from error


def verify_against_torch(
    generator: ImageGenerator,
    source: GeneratorSource,
    tolerance: Tolerance,
    locate: Locate = lambda _labels, _start: "",
) -> PixelErrors:
    """Compare the images of an exported file with those of the generator in PyTorch.

    Every label is generated at batch sizes 1, 2, 33 and 256. An image must not depend on the
    other images of its batch.

    Args:
        generator: the exported file.
        source: the generator that was exported.
        tolerance: the largest accepted errors.
        locate: finds where the values of a few images diverge, for the message of the error.

    Raises:
        VerificationError: an error exceeds the tolerance.
    """
    max_error, error_sum, compared = 0, 0.0, 0
    for labels in _batches(source):
        images = generator.generate(labels, seed=REFERENCE_SEED, start=compared).astype(np.int16)
        expected = generate_with_torch(source, labels, REFERENCE_SEED, compared)
        errors = np.abs(images - expected)
        error, worst = int(errors.max()), int(errors.max((1, 2, 3)).argmax())
        subject = (
            f"the max pixel error vs PyTorch of label {labels[worst]} at batch size {len(labels)}"
        )
        first = max(0, min(worst, len(labels) - LOCATED_IMAGES))
        where = partial(locate, labels[first : first + LOCATED_IMAGES], compared + first)
        _require_at_most(tolerance.max_error, error, subject, tolerance.remedy, where)
        max_error, compared = max(max_error, error), compared + len(labels)
        error_sum += float(errors.mean()) * len(labels)
    mean_error, subject = error_sum / compared, "the mean pixel error vs PyTorch"
    where = partial(locate, [index % source.classes for index in range(LOCATED_IMAGES)], 0)
    _require_at_most(tolerance.mean_error, mean_error, subject, tolerance.remedy, where)
    _verify_independence(generator, tolerance)
    return PixelErrors(max_error, mean_error, compared)


def _batches(source: GeneratorSource) -> Iterator[list[int]]:
    """Yield the labels of batches in which every label occurs at every batch size.

    The images of a batch have one label. For many classes or large images that takes too long, so
    the labels then take turns.
    """
    takes_turns = source.classes * sum(BATCH_SIZES) * math.prod(source.image_shape) > MAX_VALUES
    for size in BATCH_SIZES:
        if takes_turns:
            for start in range(0, source.classes, size):
                yield [(start + index) % source.classes for index in range(size)]
        else:
            for label in range(source.classes):
                yield [label] * size


def verify_against_integers(generator: ImageGenerator, quantized: QuantizedGenerator) -> None:
    """Compare the images of an int8 file with its integer arithmetic, computed by torch.

    Raises:
        VerificationError: an error exceeds INTEGER_TOLERANCE.
    """
    labels = [index % generator.info.classes for index in range(INTEGER_IMAGES)]
    noise = standard_normal(REFERENCE_SEED, 0, len(labels), generator.info.noise_dim)
    expected = quantized.generate(torch.from_numpy(noise), torch.tensor(labels)).numpy()
    images = generator.generate(labels, seed=REFERENCE_SEED)
    errors = np.abs(images.astype(np.int16) - expected)
    subject, limit = "pixel error vs the integer arithmetic of the int8 file", INTEGER_TOLERANCE
    _require_at_most(limit.max_error, int(errors.max()), f"the max {subject}", limit.remedy)
    _require_at_most(limit.mean_error, float(errors.mean()), f"the mean {subject}", limit.remedy)


def _verify_independence(generator: ImageGenerator, tolerance: Tolerance) -> None:
    """Compare images that are generated in one batch with the same images generated alone."""
    labels = [index % generator.info.classes for index in range(INDEPENDENCE_IMAGES)]
    batch = generator.generate(labels, seed=REFERENCE_SEED).astype(np.int16)
    for index, label in enumerate(labels):
        alone = generator.generate([label], seed=REFERENCE_SEED, start=index)
        error = int(np.abs(batch[index] - alone[0]).max())
        subject = f"the difference between an image generated alone and in a batch of {len(labels)}"
        _require_at_most(tolerance.batch_error, error, subject, tolerance.remedy)


def _require_at_most(
    maximum: float, error: float, subject: str, remedy: str, locate: Callable[[], str] = str
) -> None:
    if error > maximum:
        raise VerificationError(
            f"{subject} is {error:.4g}, more than the maximum of {maximum}{locate()}, so nothing "
            f"was written; {remedy}"
        )
