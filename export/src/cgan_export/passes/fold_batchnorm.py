"""Folding of batch norm into the layer before it.

Matches batch norm with running statistics after a linear or convolutional layer with a bias; an
nn.Unflatten may stand between the two. Any other batch norm is left unchanged.
"""

import copy

import torch
from torch import nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def fold_batch_norm(layers: nn.Sequential) -> nn.Sequential:
    """Return a copy of the layers, in eval mode, with batch norm folded.

    The scale and shift of each batch norm are merged into the layer before it.
    """
    folded: list[nn.Module] = []
    for layer in copy.deepcopy(layers).eval():
        before = [each for each in folded if not isinstance(each, nn.Unflatten)]
        if not (isinstance(layer, NORMS) and before and _fold(layer, before[-1])):
            folded.append(layer)
    return nn.Sequential(*folded)


def _fold(norm: nn.BatchNorm1d | nn.BatchNorm2d, layer: nn.Module) -> bool:
    """Merge a batch norm into the layer before it, in place; return False if they do not match."""
    mean, variance = norm.running_mean, norm.running_var
    if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.bias is None:
        return False
    if mean is None or variance is None or norm.weight is None or norm.bias is None:
        return False
    # Double precision, so that folding rounds only once.
    scale = norm.weight.double() / (variance.double() + norm.eps).sqrt()  # [channels]
    shift = norm.bias.double() - mean.double() * scale
    outputs = layer.weight.shape[0]
    repeats = outputs // len(scale)  # units per channel if an nn.Unflatten forms feature maps
    scale, shift = scale.repeat_interleave(repeats), shift.repeat_interleave(repeats)
    with torch.no_grad():
        per_output = scale.view(-1, *[1] * (layer.weight.ndim - 1))  # [outputs, 1, ...]
        layer.weight.copy_(per_output * layer.weight)
        layer.bias.copy_(scale * layer.bias + shift)
    return True
