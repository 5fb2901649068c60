"""Prove that a file draws what the trained network draws."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from cgan_export.errors import VerificationError
from cgan_runtime import DigitGenerator
from cgan_runtime.contract import Golden
from cgan_runtime.noise import standard_normal
from cgan_training.model_file import Model
from cgan_training.networks import to_uint8

BATCHES = (1, 2, 33)
TOLERANCE = 1  # grey levels of 255: float sums are rounded in another order
SEED = 2014


@dataclass(frozen=True)
class Parity:
    """How far a file is from the network that it was made of."""

    largest_difference: int  # grey levels
    images: int  # compared


def draw_with_torch(model: Model, labels: list[int], seed: int, start: int) -> NDArray[np.uint8]:
    """Draw with the trained network and the runtime's noise: uint8 [n, 1, height, width]."""
    noise = standard_normal(seed, start, len(labels), model.generator.noise_dim)
    with torch.inference_mode():
        images = model.generator(torch.from_numpy(noise), torch.tensor(labels))
        return to_uint8(images).numpy()


def golden_of(model: Model) -> Golden:
    """Return one image of each label, drawn with the trained network."""
    labels = list(range(model.generator.classes))
    images = draw_with_torch(model, labels, SEED, 0)
    return Golden(seed=SEED, labels=tuple(labels), images=images.tobytes())


def verify(path: Path, model: Model) -> Parity:
    """Check a file with onnx, then draw with it through the runtime and compare with torch.

    Every label is drawn at batch 1, 2 and 33.

    Raises:
        VerificationError: it is not a sound ONNX file, or differs by more than a grey level.
        cgan_runtime.ModelError: the runtime refuses it.
    """
    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VerificationError(
            f"onnx finds the exported graph faulty ({str(error).splitlines()[0]}); report it"
        ) from error
    largest, compared = 0, 0
    with DigitGenerator(path, provider="cpu") as generator:
        for batch in BATCHES:
            for label in range(model.generator.classes):
                labels, start = [label] * batch, compared
                drawn = generator.generate(labels, seed=SEED, start=start).astype(np.int16)
                promised = draw_with_torch(model, labels, SEED, start)
                difference = int(np.abs(drawn - promised).max())
                if difference > TOLERANCE:
                    raise VerificationError(
                        f"the exported file draws label {label} at batch {batch} with a "
                        f"difference of {difference} grey levels from torch, allowed is "
                        f"{TOLERANCE}; nothing was written, report it"
                    )
                largest, compared = max(largest, difference), compared + batch
    return Parity(largest, compared)
