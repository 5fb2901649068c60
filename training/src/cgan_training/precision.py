"""Which precision a device multiplies in."""

from dataclasses import replace

import torch

from cgan_training.recipe import Recipe


def resolved(recipe: Recipe, device: torch.device) -> Recipe:
    """Return the recipe with the precision that "auto" means on a device."""
    if recipe.precision != "auto":
        return recipe
    return replace(recipe, precision="bf16" if bf16_helps(device) else "fp32")


def bf16_helps(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    known = getattr(torch.cpu, "get_capabilities", None)  # our oldest torch has none
    return device.type == "cpu" and known is not None and bool(known().get("avx512_bf16"))
