"""Verification that an exported file generates the images of the trained network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from cgan_export.errors import VerificationError
from cgan_export.int8.quantization import QuantizedGenerator
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import REFERENCE_SEED, Golden
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import Model
from cgan_training.networks import to_uint8

BATCH_SIZES = (1, 2, 33, 256)
INTEGER_IMAGES = 500  # images of all labels that are compared with the integer arithmetic
INDEPENDENCE_IMAGES = 64  # images generated in one batch and then one at a time


@dataclass(frozen=True)
class Tolerance:
    """Largest accepted pixel errors of a file, on the scale 0 to 255."""

    max_error: int
    mean_error: float
    batch_error: int = 1  # between an image generated alone and the same image in a batch


# The measured error is 0. Another version of ONNX Runtime may round a value that lies halfway
# between two quantization steps to the other step, which changes a pixel or two.
INTEGER_TOLERANCE = Tolerance(8, 0.005)


@dataclass(frozen=True)
class PixelErrors:
    """Pixel errors of a file compared with the trained network, on the scale 0 to 255."""

    max: int
    mean: float
    images: int  # number of images compared


def generate_with_torch(
    model: Model, labels: list[int], seed: int, start: int
) -> NDArray[np.uint8]:
    """Return images of the trained network, uint8 [n, channels, h, w], for the runtime's noise."""
    noise = standard_normal(seed, start, len(labels), model.generator.noise_dim)
    with torch.inference_mode():
        images = model.generator(torch.from_numpy(noise), torch.tensor(labels))
        return to_uint8(images).numpy()


def golden_sample(generator: ImageGenerator) -> Golden:
    """Generate the golden sample of an exported file: one image per label."""
    labels = list(range(generator.info.classes))
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
    generator: ImageGenerator, model: Model, tolerance: Tolerance
) -> PixelErrors:
    """Compare the images of an exported file with those of the trained network.

    Every label is generated at batch sizes 1, 2, 33 and 256. An image must not depend on the
    other images of its batch.

    Raises:
        VerificationError: an error exceeds the tolerance.
    """
    max_error, error_sum, compared = 0, 0.0, 0
    for batch in BATCH_SIZES:
        for label in range(model.generator.classes):
            labels, start = [label] * batch, compared
            images = generator.generate(labels, seed=REFERENCE_SEED, start=start).astype(np.int16)
            expected = generate_with_torch(model, labels, REFERENCE_SEED, start)
            errors = np.abs(images - expected)
            error = int(errors.max())
            subject = f"the max pixel error vs PyTorch of label {label} at batch size {batch}"
            _require_at_most(tolerance.max_error, error, subject)
            max_error, compared = max(max_error, error), compared + batch
            error_sum += float(errors.mean()) * batch
    mean_error = error_sum / compared
    _require_at_most(tolerance.mean_error, mean_error, "the mean pixel error vs PyTorch")
    _verify_independence(generator, tolerance)
    return PixelErrors(max_error, mean_error, compared)


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
    _require_at_most(limit.max_error, int(errors.max()), f"the max {subject}")
    _require_at_most(limit.mean_error, float(errors.mean()), f"the mean {subject}")


def _verify_independence(generator: ImageGenerator, tolerance: Tolerance) -> None:
    """Compare images that are generated in one batch with the same images generated alone."""
    labels = [index % generator.info.classes for index in range(INDEPENDENCE_IMAGES)]
    batch = generator.generate(labels, seed=REFERENCE_SEED).astype(np.int16)
    for index, label in enumerate(labels):
        alone = generator.generate([label], seed=REFERENCE_SEED, start=index)
        error = int(np.abs(batch[index] - alone[0]).max())
        subject = f"the difference between an image generated alone and in a batch of {len(labels)}"
        _require_at_most(tolerance.batch_error, error, subject)


def _require_at_most(maximum: float, error: float, subject: str) -> None:
    if error > maximum:
        raise VerificationError(
            f"{subject} is {error:.4g}, more than the maximum of {maximum}, so nothing was "
            "written; report this as a bug"
        )
