"""Verify that an exported file generates the images of the generator in PyTorch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
MAX_VALUES = 2**24  # with more pixel values to compare, a batch mixes the labels
MAX_GOLDEN = 2**20  # bytes of the golden sample
INTEGER_IMAGES = 500  # images to compare with integer arithmetic; labels cycle through the classes
DIVERGENCE_IMAGES = 4  # images whose values are compared node by node if the verification fails
INDEPENDENCE_IMAGES = 64  # images generated in one batch and then one at a time

# Describes for an error message where the values of images diverge, given their labels and the
# index of the first image.
DescribeDivergence = Callable[[list[int], int], str]


@dataclass(frozen=True)
class Tolerance:
    """Largest accepted pixel errors of a file, on the scale 0 to 255."""

    max_error: int
    mean_error: float
    batch_error: int = 1  # error between an image generated alone and in a batch
    remedy: str = "the exported graph computes other values than PyTorch; report this as a bug"


# The measured error is 0. Another version of ONNX Runtime may round a value that lies halfway
# between two quantization steps to the other step, which changes a pixel or two.
INTEGER_TOLERANCE = Tolerance(8, 0.005)


@dataclass(frozen=True)
class PixelErrors:
    """Pixel errors of a file compared with PyTorch, on the scale 0 to 255."""

    max: int
    mean: float
    images: int  # number of images compared


def generate_with_torch(
    source: GeneratorSource, labels: list[int], seed: int, start: int
) -> NDArray[np.uint8]:
    """Generate the images of a seed with PyTorch, uint8 [n, channels, height, width]."""
    noise = standard_normal(seed, start, len(labels), source.noise_dim)
    return source.generate(torch.from_numpy(noise), torch.tensor(labels)).numpy()


def golden_sample(generator: ImageGenerator) -> Golden:
    """Generate the golden sample: one image per label, or as many as fit into MAX_GOLDEN bytes."""
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
    describe_divergence: DescribeDivergence = lambda _labels, _start: "",
) -> PixelErrors:
    """Compare the images of an exported file with those of the generator in PyTorch.

    Every label is generated at each of BATCH_SIZES. An image must not depend on the other images
    of its batch.

    Args:
        generator: the exported file.
        source: the generator that was exported.
        tolerance: the largest accepted errors.
        describe_divergence: describes where the values diverge, for the error message.

    Raises:
        VerificationError: an error exceeds the tolerance.
    """
    max_error, error_sum, compared = 0, 0.0, 0
    for labels in _batches(source):
        images = generator.generate(labels, seed=REFERENCE_SEED, start=compared).astype(np.int16)
        expected = generate_with_torch(source, labels, REFERENCE_SEED, compared)
        errors = np.abs(images - expected)
        error, worst = int(errors.max()), int(errors.max((1, 2, 3)).argmax())
        if error > tolerance.max_error:
            group = f"label {labels[worst]} at batch size {len(labels)}"
            subject = f"the max pixel error vs PyTorch of {group}"
            first = max(0, min(worst, len(labels) - DIVERGENCE_IMAGES))
            where = describe_divergence(labels[first : first + DIVERGENCE_IMAGES], compared + first)
            raise _failure(subject, error, tolerance.max_error, tolerance.remedy, where)
        max_error, compared = max(max_error, error), compared + len(labels)
        error_sum += float(errors.mean()) * len(labels)
    mean_error = error_sum / compared
    if mean_error > tolerance.mean_error:
        where = describe_divergence([i % source.classes for i in range(DIVERGENCE_IMAGES)], 0)
        subject = "the mean pixel error vs PyTorch"
        raise _failure(subject, mean_error, tolerance.mean_error, tolerance.remedy, where)
    _verify_independence(generator, tolerance)
    return PixelErrors(max_error, mean_error, compared)


def _batches(source: GeneratorSource) -> Iterator[list[int]]:
    """Yield the labels of batches in which every label occurs at every batch size.

    Usually, the images of a batch have one label. For many classes or large images this takes too
    long, so each batch then mixes the labels.
    """
    mixes_labels = source.classes * sum(BATCH_SIZES) * math.prod(source.image_shape) > MAX_VALUES
    for size in BATCH_SIZES:
        if mixes_labels:
            for start in range(0, source.classes, size):
                yield [(start + index) % source.classes for index in range(size)]
        else:
            for label in range(source.classes):
                yield [label] * size


def verify_against_integers(generator: ImageGenerator, quantized: QuantizedGenerator) -> None:
    """Compare the images of an int8 file with those that its integer arithmetic gives in PyTorch.

    Raises:
        VerificationError: an error exceeds INTEGER_TOLERANCE.
    """
    labels = [index % generator.info.classes for index in range(INTEGER_IMAGES)]
    noise = standard_normal(REFERENCE_SEED, 0, len(labels), generator.info.noise_dim)
    expected = quantized.generate(torch.from_numpy(noise), torch.tensor(labels)).numpy()
    images = generator.generate(labels, seed=REFERENCE_SEED)
    errors = np.abs(images.astype(np.int16) - expected)
    limit, subject = INTEGER_TOLERANCE, "pixel error vs the integer arithmetic of the int8 file"
    if errors.max() > limit.max_error:
        raise _failure(f"the max {subject}", errors.max(), limit.max_error, limit.remedy)
    if errors.mean() > limit.mean_error:
        raise _failure(f"the mean {subject}", errors.mean(), limit.mean_error, limit.remedy)


def _verify_independence(generator: ImageGenerator, tolerance: Tolerance) -> None:
    """Compare images that are generated in one batch with the same images generated alone."""
    labels = [index % generator.info.classes for index in range(INDEPENDENCE_IMAGES)]
    batch = generator.generate(labels, seed=REFERENCE_SEED).astype(np.int16)
    for index, label in enumerate(labels):
        alone = generator.generate([label], seed=REFERENCE_SEED, start=index)
        error = int(np.abs(batch[index] - alone[0]).max())
        if error > tolerance.batch_error:
            subject = "the max pixel error between an image generated alone and in a batch of"
            raise _failure(
                f"{subject} {len(labels)}", error, tolerance.batch_error, tolerance.remedy
            )


def _failure(
    subject: str, error: float, maximum: float, remedy: str, where: str = ""
) -> VerificationError:
    return VerificationError(
        f"{subject} is {error:.4g}, more than the maximum of {maximum}, so nothing was "
        f"written{where}; {remedy}"
    )
