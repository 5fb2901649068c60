"""Replace computed weights, such as the weights of spectral_norm, with their values.

Matches the parametrizations of torch.nn.utils.parametrize, the older hooks of
torch.nn.utils.spectral_norm and weight_norm, and nn.Embedding with max_norm.
"""

import torch
from torch import nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


def compute_weights(module: nn.Module) -> None:
    """Replace every computed weight of a module in eval mode with its value, in place."""
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer):
            names = list(layer.parametrizations)  # type: ignore[arg-type]
            values = {name: getattr(layer, name).detach() for name in names}
            # A copied layer shares its class with the original layer, and
            # parametrize.remove_parametrizations() would change that class.
            layer.__class__ = type(layer).__bases__[0]
            del layer.parametrizations
            for name, value in values.items():
                layer.register_parameter(name, nn.Parameter(value))
        for hook in list(layer._forward_pre_hooks.values()):  # noqa: SLF001
            if isinstance(hook, SpectralNorm):
                remove_spectral_norm(layer, hook.name)
            elif isinstance(hook, WeightNorm):
                remove_weight_norm(layer, hook.name)
        if isinstance(layer, nn.Embedding) and layer.max_norm is not None:
            with torch.no_grad():
                layer(torch.arange(layer.num_embeddings))  # changes the rows that are too long
            layer.max_norm = None
