"""Anything that draws: a model.pt, a run directory, an .onnx file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cgan_export.verification import generate_with_torch
from cgan_runtime import ImageGenerator
from cgan_training.model_file import load_model

CHUNK = 1000  # images at a time
SEED = 2014


@dataclass(frozen=True)
class ImageSource:
    """A trained generator, whatever file it came from."""

    name: str  # the file as the user gave it
    dataset: str  # name of the data set it learnt
    class_names: tuple[str, ...]  # one a label
    shape: tuple[int, int]  # of an image: height, width
    draw: Callable[[Tensor], Tensor]  # labels int64 [n] -> images uint8 [n, 1, height, width]


def open_source(path: Path, seed: int = SEED) -> ImageSource:
    """Open a file; the same seed gives a .pt and the .onnx made of it the same noise.

    Raises:
        cgan_runtime.CganError: the .onnx file cannot be drawn with.
        cgan_training.errors.ModelFileError: the model.pt cannot be read.
    """
    return open_onnx_source(path, seed) if path.suffix == ".onnx" else _of_torch(path, seed)


def open_onnx_source(path: Path, seed: int = SEED) -> ImageSource:
    """Open an exported file, whatever it is called; see open_source()."""
    generator = ImageGenerator(path, provider="cpu")

    def draw(labels: Tensor) -> Tensor:
        wanted = labels.tolist()
        parts = [
            torch.from_numpy(generator.generate(wanted[i : i + CHUNK], seed=seed, start=i))
            for i in range(0, len(wanted), CHUNK)
        ]
        return torch.cat(parts)

    info = generator.info
    return ImageSource(str(path), info.dataset, info.class_names, (info.height, info.width), draw)


def _of_torch(path: Path, seed: int) -> ImageSource:
    model = load_model(path)

    def draw(labels: Tensor) -> Tensor:
        wanted = labels.tolist()
        parts = [
            torch.from_numpy(generate_with_torch(model, wanted[i : i + CHUNK], seed, i))
            for i in range(0, len(wanted), CHUNK)
        ]
        return torch.cat(parts)

    shape = model.generator.height, model.generator.width
    return ImageSource(str(path), model.dataset, model.class_names, shape, draw)
