"""Batch norm, which draws with fixed statistics, disappears into the layer before it."""

import copy

import torch
from torch import Tensor, nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def fold_batch_norm(layers: nn.Sequential) -> nn.Sequential:
    """Return layers that compute the same in eval mode, with no batch norm among them.

    A norm's scale and shift go into the linear or convolutional layer that it follows, with or
    without an nn.Unflatten between the two.

    Raises:
        TypeError: a batch norm follows something else.
    """
    folded: list[nn.Module] = []
    for layer in copy.deepcopy(layers).eval():
        if isinstance(layer, NORMS):
            _fold(layer, folded[-1] if not isinstance(folded[-1], nn.Unflatten) else folded[-2])
        else:
            folded.append(layer)
    return nn.Sequential(*folded)


def _fold(norm: nn.BatchNorm1d | nn.BatchNorm2d, layer: nn.Module) -> None:
    """Change a layer's weights so that it does what the norm after it did."""
    if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.bias is None:
        raise TypeError(f"batch norm follows {type(layer).__name__}, not a layer with a bias")
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError("batch norm has no running statistics")
    # In double precision, so that folding costs one rounding.
    scale = norm.weight.double() / (variance.double() + norm.eps).sqrt()  # [channels]
    shift = norm.bias.double() - mean.double() * scale
    outputs = layer.weight.shape[0]
    repeats = outputs // len(scale)  # units a channel, where an Unflatten makes maps of them
    scale, shift = scale.repeat_interleave(repeats), shift.repeat_interleave(repeats)
    with torch.no_grad():
        layer.weight.copy_(_rows(scale, layer.weight) * layer.weight)
        layer.bias.copy_(scale * layer.bias + shift)


def _rows(scale: Tensor, weight: Tensor) -> Tensor:
    """Return the scale of each output, shaped to multiply a weight [outputs, ...]."""
    return scale.view(-1, *[1] * (weight.ndim - 1))
