"""Round a layer's weights so that the error of its outputs is small.

GPTQ (Frantar et al. 2023, section 3) rounds the weights of one input after the other. Each time, it
adjusts the unrounded weights to compensate for the error, using the second moments of the inputs.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_export.errors import VerificationError

MAX_ROWS = 65_536  # largest number of rows of a convolution's unfolded inputs
# Added to the diagonal of the moment matrix, relative to its mean, for inputs that hardly vary.
DAMPING = 0.01


def round_weights(
    layer: nn.Linear | nn.Conv2d, inputs: Tensor, nearest: Callable[[Tensor, int, Tensor], Tensor]
) -> Tensor:
    """Return the rounded weights of a layer.

    Args:
        layer: the layer, which is not changed.
        inputs: calibration inputs of the layer, float32 [images, inputs, ...].
        nearest: rounds the weights of one input, float64 [outputs]. Its other arguments are the
            index of the input and the rounded weights, [outputs, inputs], where weights that are
            not rounded yet are 0.

    Returns:
        The rounded weights, float64, in the shape of the layer's weight.

    Raises:
        VerificationError: the inputs are not finite.
    """
    adjusted = weight_matrix(layer.weight).double()  # [outputs, inputs]
    rows = _input_rows(layer, inputs).double()
    moments = rows.T @ rows / len(rows)
    damping = DAMPING * moments.diagonal().mean().clamp(min=1e-12)
    moments += damping * torch.eye(len(moments))
    try:
        factor = torch.linalg.cholesky(torch.linalg.inv(moments), upper=True)
    except RuntimeError as error:  # torch.linalg.LinAlgError
        raise VerificationError(
            "int8 quantization fails for a layer whose inputs are not finite; export with "
            "--precision fp16"
        ) from error
    rounded = torch.zeros_like(adjusted)
    for column in range(adjusted.shape[1]):
        rounded[:, column] = nearest(adjusted[:, column], column, rounded)
        errors = (adjusted[:, column] - rounded[:, column]) / factor[column, column]
        adjusted[:, column + 1 :] -= errors.outer(factor[column, column + 1 :])
    channels_last = layer.weight.movedim(1, -1)
    return rounded.view(channels_last.shape).movedim(-1, 1).contiguous()


def weight_matrix(weight: Tensor) -> Tensor:
    """Return the weights as [outputs, inputs], in the order of summation.

    In a convolution, the channels of each kernel position are adjacent.
    """
    return weight.movedim(1, -1).flatten(1)


def per_output(values: Tensor, like: Tensor) -> Tensor:
    """Reshape [outputs] so that it broadcasts with a tensor [outputs, ...]."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _input_rows(layer: nn.Linear | nn.Conv2d, inputs: Tensor) -> Tensor:
    """Return the inputs as the rows that the weight matrix multiplies: [rows, inputs]."""
    if isinstance(layer, nn.Linear):
        return inputs
    images = inputs[: max(1, MAX_ROWS // inputs[0, 0].numel())]
    patches: Tensor = functional.unfold(
        images,
        layer.kernel_size,
        padding=layer.padding,  # type: ignore[arg-type]
        stride=layer.stride,
    )  # [images, channels * kernel size, positions]
    channels_last: Tensor = patches.unflatten(1, (layer.in_channels, -1)).permute(0, 3, 2, 1)
    return channels_last.flatten(2).flatten(0, 1)
