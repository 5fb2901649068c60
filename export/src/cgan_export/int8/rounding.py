"""Rounds a layer's weights so that its outputs, not its weights, change least.

Frantar et al. 2023 (GPTQ), section 3: the inputs of a layer are rounded away one after the other,
and what one loses is made up for by those that are still free, as the inputs' second moments say.
Then each is gone over again while all others stay (Behdin et al. 2023, QuantEase, section 3).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_export.errors import VerificationError

ROWS = 65_536  # of a convolution's inputs, at most
DAMPING = 0.01  # of the mean second moment, for inputs that hardly vary
SWEEPS = 3  # after the first


def rounded_weight(
    layer: nn.Linear | nn.Conv2d, inputs: Tensor, nearest: Callable[[Tensor, int, Tensor], Tensor]
) -> Tensor:
    """Return a layer's weights, rounded.

    Args:
        layer: is left as it is.
        inputs: that it gets, float32 [images, inputs, ...].
        nearest: rounds the weights of one input, float64 [outputs]; is told that input's number,
            and what the others are rounded to so far, [outputs, inputs]: 0 where not yet.

    Returns:
        float64, shaped as the layer's weight.

    Raises:
        VerificationError: its inputs are no ground to round on.
    """
    free = matrix(layer.weight).double()  # [outputs, inputs]
    rows = _rows(layer, inputs).double()
    moments = rows.T @ rows / len(rows)
    damping = DAMPING * moments.diagonal().mean().clamp(min=1e-12)
    moments += damping * torch.eye(len(moments))
    try:
        inverse = torch.linalg.cholesky(torch.linalg.inv(moments), upper=True)
    except RuntimeError as error:  # torch.linalg.LinAlgError
        raise VerificationError(
            "int8 finds no steps for a layer whose inputs are all alike or out of all bounds; "
            "export with --precision fp16"
        ) from error
    rounded = torch.zeros_like(free)
    for column in range(free.shape[1]):
        rounded[:, column] = nearest(free[:, column], column, rounded)
        lost = (free[:, column] - rounded[:, column]) / inverse[column, column]
        free[:, column + 1 :] -= lost.outer(inverse[column, column + 1 :])
    _sweep(matrix(layer.weight).double(), rounded, moments, nearest)
    channels_last = layer.weight.movedim(1, -1)
    return rounded.view(channels_last.shape).movedim(-1, 1).contiguous()


def _sweep(
    wanted: Tensor, rounded: Tensor, moments: Tensor, nearest: Callable[..., Tensor]
) -> None:
    """Round the weights of each input anew, in place, as is best beside what the others are."""
    slope = (wanted - rounded) @ moments  # [outputs, inputs], of the squared error
    for column in list(range(len(moments))) * SWEEPS:
        best = rounded[:, column] + slope[:, column] / moments[column, column]
        change = nearest(best, column, rounded) - rounded[:, column]
        changed = change.nonzero().squeeze(1)
        rounded[changed, column] += change[changed]
        slope[changed] -= change[changed].outer(moments[column])


def matrix(weight: Tensor) -> Tensor:
    """Return [outputs, inputs] in the order in which sums are made: channels vary fastest."""
    return weight.movedim(1, -1).flatten(1)


def per_output(values: Tensor, like: Tensor) -> Tensor:
    """Return [outputs], shaped to multiply [outputs, ...]."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _rows(layer: nn.Linear | nn.Conv2d, inputs: Tensor) -> Tensor:
    """Return what the matrix of weights multiplies: [rows, inputs]."""
    if isinstance(layer, nn.Linear):
        return inputs
    images = inputs[: max(1, ROWS // inputs[0, 0].numel())]
    patches: Tensor = functional.unfold(
        images,
        layer.kernel_size,
        padding=layer.padding,  # type: ignore[arg-type]
        stride=layer.stride,
    )  # [images, channels * taps, places]
    channels_last: Tensor = patches.unflatten(1, (layer.in_channels, -1)).permute(0, 3, 2, 1)
    return channels_last.flatten(2).flatten(0, 1)
