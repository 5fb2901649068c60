"""Prove that a file draws what the trained network draws."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from cgan_export.errors import VerificationError
from cgan_export.int8.quantization import QuantizedGenerator
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import Golden
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import Model
from cgan_training.networks import to_uint8

BATCHES = (1, 2, 33, 256)
INTEGER_IMAGES = 500  # of all labels
SEPARATE_IMAGES = 64  # images that are drawn together and each by itself
SEED = 2014


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the network that it was made of, in grey levels of 255."""

    largest: int
    mean: float
    batch: int = 1  # how far an image may be from itself in another batch


# Of an int8 file, from its own whole numbers: 0 where it was measured. A runtime that rounds a unit
# to the other of two steps shows it in a pixel or two.
INTEGERS = Tolerance(8, 0.005)


@dataclass(frozen=True)
class Parity:
    """How far a file is from the network that it was made of."""

    largest_difference: int  # grey levels
    mean_difference: float  # likewise
    images: int  # compared


def generate_with_torch(
    model: Model, labels: list[int], seed: int, start: int
) -> NDArray[np.uint8]:
    """Draw with the trained network and the runtime's noise: uint8 [n, 1, height, width]."""
    noise = standard_normal(seed, start, len(labels), model.generator.noise_dim)
    with torch.inference_mode():
        images = model.generator(torch.from_numpy(noise), torch.tensor(labels))
        return to_uint8(images).numpy()


def golden_from_file(path: Path) -> Golden:
    """Return one image of each label, drawn with the exported file."""
    with ImageGenerator(path, provider="cpu") as generator:
        labels = list(range(generator.info.classes))
        images = generator.generate(labels, seed=SEED)
    return Golden(seed=SEED, labels=tuple(labels), images=images.tobytes())


def golden_with_torch(model: Model) -> Golden:
    """Return the same, drawn with the trained network."""
    labels = list(range(model.generator.classes))
    images = generate_with_torch(model, labels, SEED, 0)
    return Golden(seed=SEED, labels=tuple(labels), images=images.tobytes())


def verify(path: Path, model: Model, tolerance: Tolerance) -> Parity:
    """Check a file with onnx, then draw with it through the runtime and compare with torch.

    Every label is drawn at batch 1, 2, 33 and 256. Images of mixed labels must be what each is
    alone.

    Raises:
        VerificationError: it is not a sound ONNX file, or differs by more than the tolerance.
        cgan_runtime.ModelError: the runtime refuses it.
    """
    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VerificationError(
            f"onnx finds the exported graph faulty ({str(error).splitlines()[0]}); report it"
        ) from error
    largest, total, compared = 0, 0.0, 0
    with ImageGenerator(path, provider="cpu") as generator:
        for batch in BATCHES:
            for label in range(model.generator.classes):
                labels, start = [label] * batch, compared
                drawn = generator.generate(labels, seed=SEED, start=start).astype(np.int16)
                promised = generate_with_torch(model, labels, SEED, start)
                differences = np.abs(drawn - promised)
                difference = int(differences.max())
                if difference > tolerance.largest:
                    raise VerificationError(
                        f"the exported file draws label {label} at batch {batch} with a "
                        f"difference of {difference} grey levels from torch, allowed is "
                        f"{tolerance.largest}; nothing was written, report it"
                    )
                largest, compared = max(largest, difference), compared + batch
                total += float(differences.mean()) * batch
        _require_independence(generator, tolerance)
    if total / compared > tolerance.mean:
        raise VerificationError(
            f"the exported file differs from torch by {total / compared:.3f} grey levels in the "
            f"mean, allowed is {tolerance.mean}; nothing was written, report it"
        )
    return Parity(largest, total / compared, compared)


def verify_integers(path: Path, quantized: QuantizedGenerator) -> None:
    """Check that an int8 file draws what its whole numbers come to, worked out by torch.

    The runtime may round a number that lies between two steps to the other one, no more.

    Raises:
        VerificationError: it draws something else.
    """
    classes, noise_dim = len(quantized.first.label_table), len(quantized.first.noise_weight)
    labels = [index % classes for index in range(INTEGER_IMAGES)]
    noise = torch.from_numpy(standard_normal(SEED, 0, len(labels), noise_dim))
    promised = quantized.draw(noise, torch.tensor(labels)).numpy()
    with ImageGenerator(path, provider="cpu") as generator:
        drawn = generator.generate(labels, seed=SEED)
    differences = np.abs(drawn.astype(np.int16) - promised)
    largest, mean = int(differences.max()), float(differences.mean())
    if largest > INTEGERS.largest or mean > INTEGERS.mean:
        raise VerificationError(
            f"the exported file differs by up to {largest} grey levels, {mean:.4f} in the mean, "
            f"from what its integers come to, allowed are {INTEGERS.largest} and "
            f"{INTEGERS.mean}; nothing was written, report it"
        )


def _require_independence(generator: ImageGenerator, tolerance: Tolerance) -> None:
    """Draw images of mixed labels together and each alone.

    Raises:
        VerificationError: they differ by more than the tolerance.
    """
    labels = [index % generator.info.classes for index in range(SEPARATE_IMAGES)]
    together = generator.generate(labels, seed=SEED).astype(np.int16)
    for index, label in enumerate(labels):
        alone = generator.generate([label], seed=SEED, start=index)
        difference = int(np.abs(together[index] - alone[0]).max())
        if difference > tolerance.batch:
            raise VerificationError(
                f"an image alone differs by {difference} grey levels from the same image in a "
                f"batch of {SEPARATE_IMAGES}, allowed is {tolerance.batch}; nothing was written, "
                f"report it"
            )
