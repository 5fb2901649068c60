"""Computed weights, such as those of spectral_norm and weight_norm, become plain weights.

Matches the parametrizations of torch.nn.utils.parametrize and the older hooks of
torch.nn.utils.spectral_norm and weight_norm. The file then holds the weights themselves.
"""

from torch import nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


def compute_weights(module: nn.Module) -> None:
    """Replace every computed weight of a module in eval mode by its value, in place."""
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer):
            for name in list(layer.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(layer, name, leave_parametrized=True)
        for hook in list(layer._forward_pre_hooks.values()):  # noqa: SLF001
            if isinstance(hook, SpectralNorm):
                remove_spectral_norm(layer, hook.name)
            elif isinstance(hook, WeightNorm):
                remove_weight_norm(layer, hook.name)
