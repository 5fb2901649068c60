"""Which precision a device multiplies in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from cgan_training.errors import DeviceError
from cgan_training.recipe.schema import Recipe

AMPERE = (8, 0)  # compute capability of the first GPUs that multiply in bf16 and tf32


def resolve_precision(recipe: Recipe, device: torch.device) -> Recipe:
    """Return the recipe with the precision that "auto" means on a device.

    On NVIDIA's GPUs that is tf32: networks as small as ours spend longer on casts to bf16 than bf16
    saves them.

    Raises:
        DeviceError: it asks for tf32, and the device has none.
    """
    if recipe.precision == "tf32" and not _is_ampere(device):
        raise DeviceError(
            "tf32 is how NVIDIA's GPUs multiply, from Ampere on, and the device is none; "
            "use --precision auto, fp32 or bf16"
        )
    if recipe.precision != "auto":
        return recipe
    if _is_ampere(device):
        return replace(recipe, precision="tf32")
    return replace(recipe, precision="bf16" if supports_bf16(device) else "fp32")


def supports_bf16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 in hardware."""
    if device.type != "cpu":
        return _is_ampere(device)
    known = getattr(torch.cpu, "get_capabilities", None)  # our oldest torch has none
    return known is not None and bool(known().get("avx512_bf16"))


@contextmanager
def matmul_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Let an NVIDIA GPU multiply float32 in tf32 within the block, or in float32 and nothing less.

    torch alone would take tf32 for convolutions, and not for matrices.

    Args:
        precision: of a resolved recipe.
        device: any; others have no such choice.
    """
    if device.type != "cuda":
        yield
        return
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    matrices.allow_tf32 = convolutions.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        matrices.allow_tf32, convolutions.allow_tf32 = before


def _is_ampere(device: torch.device) -> bool:
    """Return whether the device is an NVIDIA GPU of Ampere or later."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE
