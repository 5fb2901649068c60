"""Folding of batch norm into the layer before it."""

import copy

import torch
from torch import nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def fold_batch_norm(layers: nn.Sequential) -> nn.Sequential:
    """Return layers without batch norm that compute the same in eval mode.

    The scale and shift of each batch norm are merged into the linear or convolutional layer that
    precedes it. An nn.Unflatten may stand between the two.

    Raises:
        TypeError: a batch norm follows another kind of layer.
    """
    folded: list[nn.Module] = []
    for layer in copy.deepcopy(layers).eval():
        if isinstance(layer, NORMS):
            _fold(layer, folded[-1] if not isinstance(folded[-1], nn.Unflatten) else folded[-2])
        else:
            folded.append(layer)
    return nn.Sequential(*folded)


def _fold(norm: nn.BatchNorm1d | nn.BatchNorm2d, layer: nn.Module) -> None:
    """Merge a batch norm into the weights of the layer before it, in place."""
    if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.bias is None:
        raise TypeError(f"batch norm follows {type(layer).__name__}, not a layer with a bias")
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError("batch norm has no running statistics")
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
