"""The precision of matrix multiplications and convolutions on a device."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from cgan_training.errors import DeviceError
from cgan_training.recipe import Recipe

AMPERE = (8, 0)  # compute capability of the first NVIDIA GPUs with bf16 and TF32


def resolve_precision(recipe: Recipe, device: torch.device) -> Recipe:
    """Return the recipe with "auto" replaced by the fastest precision of the device.

    On NVIDIA GPUs since Ampere that is tf32: in networks this small, the casts to bf16 cost more
    time than bf16 saves.

    Raises:
        DeviceError: the recipe asks for tf32 and the device does not support it.
    """
    if recipe.precision == "tf32" and not _is_ampere_or_later(device):
        raise DeviceError(
            "precision tf32 needs an NVIDIA GPU of the Ampere generation or later, which this "
            f"{device.type} device is not; use --precision auto, fp32 or bf16"
        )
    if recipe.precision != "auto":
        return recipe
    fastest = "tf32" if _is_ampere_or_later(device) else "bf16" if supports_bf16(device) else "fp32"
    return replace(recipe, precision=fastest)


def supports_bf16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 in hardware."""
    if device.type != "cpu":
        return _is_ampere_or_later(device)
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # missing in the oldest PyTorch
    return capabilities is not None and bool(capabilities().get("avx512_bf16"))


@contextmanager
def matmul_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Within the block, let an NVIDIA GPU use TF32 if the precision is "tf32", and only then.

    PyTorch's default is TF32 for convolutions and float32 for matrix multiplications.
    """
    if device.type != "cuda":
        yield
        return
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    matmul.allow_tf32 = convolution.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, convolution.allow_tf32 = before


def _is_ampere_or_later(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE
