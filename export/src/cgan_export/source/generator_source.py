"""The generator to export, and the metadata that describes it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.model_file import Model

ValueRange = tuple[float, float]
TANH_RANGE: ValueRange = (-1.0, 1.0)  # output range of cgan-train's generators


@dataclass(frozen=True, eq=False)
class GeneratorSource:
    """A generator to export: a trained model or a user's module."""

    generator: nn.Module  # forward(noise, label); float32, on the CPU, in eval mode
    name: str  # for messages: the path of model.pt or the name of the module
    noise_dim: int
    class_names: tuple[str, ...]  # one per label
    image_shape: ImageShape
    value_range: ValueRange  # values of black and white; values outside are clipped
    weights_sha256: str
    dataset: str = ""  # name of the training dataset, if it is known
    recipe: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def generate(self, noise: Tensor, label: Tensor) -> Tensor:
        """Generate images with PyTorch.

        Args:
            noise: float32 [batch, noise_dim], standard normal.
            label: int64 [batch], 0 <= label < classes.

        Returns:
            uint8 [batch, channels, height, width].
        """
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
            image = self.generator(noise, label)
            return to_pixels(image, self.value_range).clamp(0, 255).to(torch.uint8)


def source_of_model(model: Model, name: str = "") -> GeneratorSource:
    """Return the generator of a model.pt with its metadata."""
    generator = model.generator
    return GeneratorSource(
        generator=generator,
        name=name,
        noise_dim=generator.noise_dim,
        class_names=model.class_names,
        image_shape=generator.image_shape,
        value_range=TANH_RANGE,
        weights_sha256=model.weights_sha256,
        dataset=model.dataset,
        recipe=model.recipe,
        training=model.training,
    )


def to_pixels(image: Tensor, value_range: ValueRange) -> Tensor:
    """Scale float values to 0..255, rounding half to even, without clipping."""
    low, high = value_range
    return image.sub(low).mul(255 / (high - low)).round()


def hash_weights(module: nn.Module) -> str:
    """Return the SHA-256 of the names, shapes and bytes of a module's parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        if isinstance(value, Tensor):
            digest.update(f"{name} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
