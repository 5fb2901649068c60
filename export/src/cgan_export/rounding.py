"""Rounds a layer's weights so that its outputs, not its weights, change least.

Frantar et al. 2023 (GPTQ), section 3: the inputs of a layer are rounded away one after the other,
and what one loses is made up for by those that are still free, as the inputs' second moments say.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_export.errors import VerificationError
from cgan_export.graph import ContractGenerator
from cgan_runtime.noise import standard_normal

IMAGES, SEED = 16_384, 0  # drawn of all labels, to see what the layers get
ROWS = 65_536  # of a convolution's inputs, at most
DAMPING = 0.01  # of the mean second moment, for inputs that hardly vary


def seen(module: ContractGenerator) -> tuple[Tensor, Tensor]:
    """Return the runtime's noise of 16,384 images, [images, noise_dim], and labels, [images]."""
    noise = standard_normal(SEED, 0, IMAGES, len(module.noise_weight))
    return torch.from_numpy(noise), torch.arange(IMAGES) % len(module.label_table)


def rounded_weight(
    layer: nn.Linear | nn.Conv2d, inputs: Tensor, nearest: Callable[[Tensor, int, Tensor], Tensor]
) -> Tensor:
    """Return a layer's weights, rounded.

    Args:
        layer: is left as it is.
        inputs: that it gets, float32 [images, inputs, ...].
        nearest: rounds the weights of one input, float64 [outputs]; is told that input's number,
            and what the inputs before it were rounded to, [outputs, inputs].

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
    channels_last = layer.weight.movedim(1, -1)
    return rounded.view(channels_last.shape).movedim(-1, 1).contiguous()


def matrix(weight: Tensor) -> Tensor:
    """Return [outputs, inputs] in the order in which sums are made: channels vary fastest."""
    return weight.detach().movedim(1, -1).flatten(1)


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
