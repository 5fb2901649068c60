"""Generators and discriminators that the user wrote.

A recipe names the class, `kind = "my_package.my_module:MyGenerator"`. It is called with the keyword
arguments noise_dim (generators only), classes, channels, height and width, and with the other keys
of the recipe's table, and returns an nn.Module. docs/extend.md has examples.
"""

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from cgan_runtime.errors import printable
from cgan_runtime.model_file.contract import ImageShape
from cgan_training.errors import UserCodeError
from cgan_training.networks.discriminator import Discriminator, DiscriminatorOutput
from cgan_training.networks.generator import Generator
from cgan_training.recipe import CustomDiscriminatorSettings, CustomGeneratorSettings
from cgan_training.user_code import explain_failures, import_object

PROBE_BATCH = 2  # batch size of the call that checks a user's network before training starts


class CustomGenerator(Generator):
    """A generator of the user.

    Its forward(noise, label) gets float32 [batch, noise_dim] and int64 [batch], and returns float32
    [batch, channels, height, width] in -1..1. Values outside this range are clipped when they are
    converted to pixels.

    Raises:
        UserCodeError: the code cannot be imported, or does not work as described.
    """

    def __init__(
        self,
        settings: CustomGeneratorSettings,
        noise_dim: int,
        classes: int,
        image_shape: ImageShape,
    ) -> None:
        network = _build(settings, classes, image_shape, noise_dim=noise_dim)
        inputs = torch.randn(PROBE_BATCH, noise_dim), torch.arange(PROBE_BATCH) % classes
        _check(network, settings.kind, inputs, (PROBE_BATCH, *image_shape))
        super().__init__(nn.Sequential(network), settings, noise_dim, classes, image_shape)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Generate images; see Generator."""
        return cast(Tensor, self.layers[0](noise, label))


class CustomDiscriminator(Discriminator):
    """A discriminator of the user.

    Its forward(image, label) gets float32 [batch, channels, height, width] in -1..1 and int64
    [batch], and returns logits, float32 [batch], which are positive where the image looks real. A
    batch may hold real images, generated images, or both.

    Raises:
        UserCodeError: the code cannot be imported, or does not work as described.
    """

    def __init__(
        self, settings: CustomDiscriminatorSettings, classes: int, image_shape: ImageShape
    ) -> None:
        super().__init__()
        self.network = _build(settings, classes, image_shape)
        image = torch.rand(PROBE_BATCH, *image_shape) * 2 - 1
        inputs = image, torch.arange(PROBE_BATCH) % classes
        _check(self.network, settings.kind, inputs, (PROBE_BATCH,))

    def forward(
        self, image: Tensor, label: Tensor, groups: int = 1, progress: float | Tensor = 0.0
    ) -> DiscriminatorOutput:
        """Return logits, without features; see Discriminator."""
        del groups, progress
        return DiscriminatorOutput(self.network(image, label), None)


def _build(
    settings: CustomGeneratorSettings | CustomDiscriminatorSettings,
    classes: int,
    image_shape: ImageShape,
    **generator_arguments: Any,
) -> nn.Module:
    """Call the user's class."""
    channels, height, width = image_shape
    arguments = {
        **generator_arguments,
        "classes": classes,
        "channels": channels,
        "height": height,
        "width": width,
        **copy.deepcopy(settings.arguments),
    }
    build: Callable[..., object] = import_object(settings.kind)
    texts = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    with explain_failures(f"{settings.kind} cannot be built with {printable(texts)}"):
        network = build(**arguments)
    if not isinstance(network, nn.Module):
        raise UserCodeError(
            f"{settings.kind} returns {type(network).__name__} when it is called; it must return "
            "a torch.nn.Module"
        )
    if next(network.parameters(), None) is None:
        raise UserCodeError(f"{settings.kind} has no parameters to train; add layers to it")
    return network


def _check(
    network: nn.Module, kind: str, inputs: tuple[Tensor, Tensor], expected: tuple[int, ...]
) -> None:
    """Call a copy of a network once. Raise UserCodeError if it fails or its output is wrong."""
    shapes = " and ".join(str(list(tensor.shape)) for tensor in inputs)
    explained = explain_failures(
        f"{kind} fails for inputs of the shapes {shapes}", "correct its forward()"
    )
    with explained, torch.random.fork_rng(devices=[]), torch.no_grad():
        output = copy.deepcopy(network)(*inputs)
    found: str = type(output).__name__
    if isinstance(output, Tensor):
        if output.shape == expected and output.dtype == torch.float32:
            return
        found = f"{str(output.dtype).removeprefix('torch.')} {list(output.shape)}"
    raise UserCodeError(
        f"{kind} returns {found} for inputs of the shapes {shapes}; its forward() must return "
        f"float32 {list(expected)}"
    )
