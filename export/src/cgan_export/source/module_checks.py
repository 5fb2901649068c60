"""Check a user's module before it is traced, and report a problem in one line.

The checks run the module in PyTorch on every label, so that a problem is reported in terms of the
user's code and not of the exported graph.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cgan_export.errors import ExportError
from cgan_export.source.call_forms import check_signature, describe_forward
from cgan_export.source.generator_source import ValueRange, to_pixels
from cgan_runtime.model_file.contract import (
    CHANNELS,
    MAX_CLASSES,
    REFERENCE_SEED,
    ImageShape,
)
from cgan_runtime.noise import standard_normal
from cgan_training.errors import one_line
from cgan_training.recipe.schema import MAX_NOISE_DIM
from cgan_training.user_code import place_of

CHECKED_IMAGES = 64  # at least; more if there are more labels
SINGLE_IMAGES = 8  # images that are also generated one at a time
MAX_BATCH_VALUES = 2**24  # largest number of pixel values generated at once
# Verification generates 256 images at once, whose pixel values then take 256 MiB as float32.
MAX_IMAGE_VALUES = 2**18
MAX_OUTSIDE = 1 / 3  # largest accepted share of values outside value_range
MAX_FAR_OUTSIDE = 0.01  # largest share of values outside value_range by more than its width
_SHAPE_ERRORS = IndexError, RuntimeError, ValueError, AssertionError
_SHAPE_WORDS = re.compile(r"(?i)\b(shapes?|sizes?|dim\w*|channels?|out of (range|bounds))\b")


def check_arguments(noise_dim: int, class_names: Sequence[str], value_range: ValueRange) -> None:
    """Raise ExportError unless the arguments of export_generator() are valid."""
    if type(noise_dim) is not int or not 1 <= noise_dim <= MAX_NOISE_DIM:
        raise ExportError(
            f"noise_dim must be a whole number from 1 to {MAX_NOISE_DIM:,}, got {noise_dim!r}"
        )
    names = [] if isinstance(class_names, str) else list(class_names)
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ExportError(
            f"class_names must be a sequence of names, one per label, got {class_names!r:.80}"
        )
    if len(names) > MAX_CLASSES:
        raise ExportError(f"class_names has {len(names):,} names; give at most {MAX_CLASSES:,}")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ExportError(f"class_names has {repeated!r} twice; use each name once")
    is_pair = isinstance(value_range, Sequence) and len(value_range) == 2
    if not is_pair or not all(isinstance(each, int | float) for each in value_range):
        raise ExportError(f"value_range must be two numbers, got {value_range!r:.80}")
    low, high = value_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ExportError(f"value_range must be LOW < HIGH, both finite, got {low} and {high}")


def check_module(module: nn.Module, name: str) -> None:
    """Check the mode, the tensors and the signature of a module.

    Raises:
        ExportError: the module is not an nn.Module in eval mode, in float32 and on the CPU, or
            forward() does not take noise and label.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise ExportError(f"{name} is TorchScript; give the nn.Module that it was compiled from")
    if not isinstance(module, nn.Module):
        kind = type(module).__name__
        raise ExportError(f"{name} is not an nn.Module but a {kind}; give the nn.Module itself")
    for path, each in module.named_modules():
        part = f"its layer {path} is" if path else "it is"
        if isinstance(each, torch.jit.ScriptModule):
            raise ExportError(
                f"{name} cannot be exported: {part} TorchScript; use the nn.Module that it was "
                "compiled from"
            )
        if each.training:
            raise ExportError(f"{name} cannot be exported: {part} in training mode; call .eval()")
    for kind, tensors in (
        ("parameter", module.named_parameters()),
        ("buffer", module.named_buffers()),
    ):
        for path, tensor in tensors:
            _check_tensor(tensor, f"the {kind} {path} of {name}", is_parameter=kind == "parameter")
    check_signature(module, name)


def check_images(
    module: nn.Module, name: str, noise_dim: int, classes: int, value_range: ValueRange
) -> tuple[ImageShape, str | None]:
    """Run a module on every label; return its image shape, and a note about its range if needed.

    Raises:
        ExportError: forward() fails, does not return images in value_range, or its images depend
            on anything other than noise and label.
    """
    labels = torch.arange(max(CHECKED_IMAGES, classes)) % classes
    noise = torch.from_numpy(standard_normal(REFERENCE_SEED, 0, len(labels), noise_dim))
    forward = _Forward(module, name)
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        first = forward(noise[:1], labels[:1])
        chunk = max(1, MAX_BATCH_VALUES // first[0].numel())
        parts = [
            forward(noise[start : start + chunk], labels[start : start + chunk])
            for start in range(0, len(labels), chunk)
        ]
        again = forward(noise[:chunk], labels[:chunk])
        if not torch.equal(again, parts[0]) and _pixel_error(again, parts[0], value_range) > 1:
            raise ExportError(
                f"{name} generates different images for the same noise and label, so it uses "
                "random numbers; take them from noise or from a registered buffer"
            )
        note = _check_range(parts, name, value_range)
        count = min(SINGLE_IMAGES, chunk)
        alone = [forward(noise[i : i + 1], labels[i : i + 1]) for i in range(count)]
        error = _pixel_error(torch.cat(alone), parts[0][:count], value_range)
    if error > 1:
        raise ExportError(
            f"an image of {name} depends on the other images of its batch: pixels differ by up to "
            f"{error:.0f} of 255; do not compute statistics over the batch"
        )
    channels, height, width = first.shape[1:]
    return (channels, height, width), note


def describe_unused_labels(module: nn.Module, noise_dim: int, classes: int) -> str | None:
    """Return a note if the label embedding of a module has more rows than there are classes."""
    # The labels descend, so that they differ from ascending indices of positions or channels.
    labels = torch.arange(min(classes, SINGLE_IMAGES)).flip(0).repeat(2)
    noise = torch.from_numpy(standard_normal(REFERENCE_SEED, 0, len(labels), noise_dim))
    rows = classes

    def record(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal rows
        indices = inputs[0] if inputs else None
        is_label = isinstance(indices, Tensor) and torch.equal(indices.flatten().long(), labels)
        if isinstance(layer, nn.Embedding) and is_label:
            rows = max(rows, layer.num_embeddings)

    layers = [layer for layer in module.modules() if isinstance(layer, nn.Embedding)]
    hooks = [layer.register_forward_pre_hook(record) for layer in layers]
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            module(noise, labels.clone())
    finally:
        for hook in hooks:
            hook.remove()
    if rows == classes:
        return None
    return f"the network has {rows:,} labels, but only the first {classes:,} are exported"


class _Forward:
    """Calls forward() and checks what it returns."""

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module, self.name = module, name
        self.image_shape: torch.Size | None = None

    def __call__(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return the images, float32 [batch, channels, height, width]."""
        inputs = f"noise {list(noise.shape)}, label {list(label.shape)}"
        try:  # with clones, because the module might change its inputs in place
            image = self.module(noise.clone(), label.clone())
        except Exception as error:
            advice = "correct it"
            if isinstance(error, _SHAPE_ERRORS) and _SHAPE_WORDS.search(str(error)):
                advice = "check noise_dim and the number of classes"
            raise ExportError(
                f"{describe_forward(self.module, self.name)} fails{place_of(error)} for {inputs} "
                f"with labels up to {int(label.max())}: {one_line(error)}; {advice}"
            ) from error
        self._check_image(image, len(noise), inputs)
        result: Tensor = image
        return result

    def _check_image(self, image: Any, batch: int, inputs: str) -> None:
        returned = f"{self.name} returns"
        expected = "return one float32 tensor [batch, channels, height, width]"
        if not isinstance(image, Tensor):
            raise ExportError(
                f"{returned} a {type(image).__name__}; {expected}, for example by a module that "
                "calls yours and returns the image alone"
            )
        shape = list(image.shape)
        if len(shape) != 4 or shape[0] != batch or shape[1] not in CHANNELS or 0 in shape:
            remedy = "with 1 (gray) or 3 (RGB) channels"
            if len(shape) == 4 and shape[3] in CHANNELS:
                remedy += ", for example image.permute(0, 3, 1, 2)"
            elif len(shape) == 3:
                remedy += ", for example image.unsqueeze(1)"
            elif len(shape) == 2:
                remedy += ", for example image.view(-1, 1, height, width)"
            raise ExportError(f"{returned} {shape} for {inputs}; {expected} {remedy}")
        if image.dtype != torch.float32 or image.device.type != "cpu":
            kind = f"{image.dtype} on {image.device}"
            raise ExportError(f"{returned} {kind}; {expected} on the CPU")
        if image[0].numel() > MAX_IMAGE_VALUES:
            raise ExportError(
                f"{returned} images of {shape[1:]}, more than the largest supported size of "
                f"{MAX_IMAGE_VALUES:,} values; return smaller images"
            )
        if self.image_shape not in (None, image.shape[1:]):
            raise ExportError(
                f"{returned} {shape} for {inputs}, but other images have the shape "
                f"{list(self.image_shape or ())}; {expected} of one size"
            )
        self.image_shape = image.shape[1:]
        if not image.isfinite().all():
            raise ExportError(f"{returned} NaN or infinite values for {inputs}; train it again")


def _check_tensor(tensor: Tensor, name: str, *, is_parameter: bool) -> None:
    if is_lazy(tensor):
        raise ExportError(f"{name} is not initialized; call the module once before the export")
    if tensor.device.type == "meta":
        raise ExportError(f"{name} is on the meta device, so it has no values; load the weights")
    if tensor.device.type != "cpu":
        raise ExportError(f"{name} is on {tensor.device}; call .cpu()")
    floats = tensor.is_floating_point() or tensor.is_complex()
    if is_parameter and floats and tensor.dtype != torch.float32:
        raise ExportError(f"{name} is {tensor.dtype}; call .float()")


def _check_range(images: list[Tensor], name: str, value_range: ValueRange) -> str | None:
    """Return a note if the values hint at another range; raise ExportError if they prove it."""
    low, high = value_range
    width = high - low
    values = torch.cat([image.flatten() for image in images])
    lowest, highest = values.min().item(), values.max().item()
    margin = width / 255
    outside = _share_outside(values, low - margin, high + margin)
    observed = f"the values of {name} are between {lowest:.4g} and {highest:.4g}"
    expected = f"value_range ({low:g}, {high:g})"
    is_far = _share_outside(values, low - width, high + width) > MAX_FAR_OUTSIDE
    if outside > MAX_OUTSIDE or is_far:
        raise ExportError(
            f"{observed}, {outside:.0%} of them outside the {expected}; give their range"
        )
    if outside > 0:
        return f"{observed}; values outside the {expected} are clipped"
    middle = (low + high) / 2
    if highest > lowest and (lowest >= middle or highest <= middle):
        return f"{observed}, in one half of the {expected}; check value_range"
    return None


def _share_outside(values: Tensor, low: float, high: float) -> float:
    return ((values < low) | (values > high)).float().mean().item()


def _pixel_error(images: Tensor, others: Tensor, value_range: ValueRange) -> float:
    pixels = (to_pixels(each, value_range).clamp(0, 255) for each in (images, others))
    return (next(pixels) - next(pixels)).abs().max().item()
