"""Open a model.pt, a run directory or an .onnx file as a source of images for the evaluation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cgan_export.source.generator_source import GeneratorSource, source_of_model
from cgan_export.verification.verify import generate_with_torch
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import REFERENCE_SEED, ImageShape
from cgan_training.model_file import load_model

CHUNK = 1000  # number of images that one call generates


@dataclass(frozen=True)
class ImageSource:
    """A function that generates images, and the metadata of the model or control behind it."""

    name: str  # the user's path, or the name of a control (cgan_training/evaluation/controls.py)
    dataset: str  # name of the dataset that the model was trained on
    class_names: tuple[str, ...]  # one per label
    shape: ImageShape  # channels, height and width of an image
    generate: Callable[[Tensor], Tensor]  # labels [n] -> uint8 [n, channels, height, width]
    training: Mapping[str, Any] = field(default_factory=dict)  # record of the training, if any


def open_source(
    path: Path,
    seed: int = REFERENCE_SEED,
    threads: int | None = None,
    generator: str | None = None,
) -> ImageSource:
    """Open a model. A model.pt and the .onnx file exported from it get the same noise.

    Args:
        path: a model.pt, a run directory or an .onnx file.
        seed: seed of the noise.
        threads: number of ONNX Runtime's threads; None uses one for each core.
        generator: the name of your own generator class, as in load_model().

    Raises:
        cgan_runtime.CganError: the .onnx file cannot be opened.
        cgan_training.errors.ModelFileError: the model.pt cannot be read.
    """
    if path.suffix.lower() == ".onnx":
        return open_onnx_source(path, seed, threads)
    model = load_model(path, generator=generator)
    return torch_source(source_of_model(model, str(path)), seed)


def open_onnx_source(
    path: Path, seed: int = REFERENCE_SEED, threads: int | None = None
) -> ImageSource:
    """Open an exported file, whose name need not end in .onnx; see open_source()."""
    return onnx_source(ImageGenerator(path, provider="cpu", threads=threads), seed)


def onnx_source(generator: ImageGenerator, seed: int = REFERENCE_SEED) -> ImageSource:
    """Return an open exported file as a source of images."""
    info, name = generator.info, str(generator.model_path)
    generate = partial(_in_chunks, partial(generator.generate, seed=seed))
    return ImageSource(
        name, info.dataset, info.class_names, info.image_shape, generate, info.training
    )


def torch_source(source: GeneratorSource, seed: int = REFERENCE_SEED) -> ImageSource:
    """Return a generator in PyTorch as a source of images."""
    generate = partial(_in_chunks, partial(generate_with_torch, source, seed=seed))
    return ImageSource(
        source.name,
        source.dataset,
        source.class_names,
        source.image_shape,
        generate,
        source.training,
    )


def _in_chunks(generate: Callable[..., NDArray[np.uint8]], labels: Tensor) -> Tensor:
    chunks = [
        generate(labels[start : start + CHUNK].tolist(), start=start)
        for start in range(0, len(labels), CHUNK)
    ]
    return torch.from_numpy(np.concatenate(chunks))
