"""The label table: a layer on [noise; one-hot label] without the one-hot vector.

Matches a first layer that is linear. It becomes a matrix multiplication with the noise plus one row
of a table, which holds the label's weights and the bias, so nothing is computed for the other
labels.
"""

from torch import Tensor, nn


def split_first_layer(first: nn.Module, noise_dim: int) -> tuple[Tensor, Tensor] | None:
    """Return the weights of the noise and the label table; None for other kinds of layers.

    Args:
        first: a layer on [noise; one-hot label], [batch, noise_dim + classes].
        noise_dim: length of the noise vector.

    Returns:
        noise_weight [noise_dim, units] and label_table [classes, units].
    """
    if not isinstance(first, nn.Linear):
        return None
    noise_weight, label_weight = (
        first.weight.detach().T[:noise_dim].contiguous(),
        first.weight.detach().T[noise_dim:],
    )
    bias = 0 if first.bias is None else first.bias.detach()
    return noise_weight, label_weight + bias
