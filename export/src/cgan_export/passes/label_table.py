"""The label table: a layer on [noise; one-hot label] without the one-hot vector.

Matches a linear first layer. It becomes a matrix multiplication with the noise, plus one row of a
table. The row holds the label's weights and the bias, so nothing is computed for the other labels.
"""

from torch import Tensor, nn


def split_first_layer(
    first: nn.Module, noise_dim: int, classes: int
) -> tuple[Tensor, Tensor] | None:
    """Return the weights of the noise and the label table, or None if the layer is not linear.

    Args:
        first: a layer on [noise; one-hot label], [batch, noise_dim + classes], or on noise alone.
        noise_dim: length of the noise vector.
        classes: number of labels.

    Returns:
        noise_weight [noise_dim, units] and label_table [classes, units].
    """
    if not isinstance(first, nn.Linear):
        return None
    weight = first.weight.detach().T  # [inputs, units]
    noise_weight, label_weight = weight[:noise_dim].contiguous(), weight[noise_dim:]
    if not len(label_weight):
        label_weight = weight.new_zeros(classes, weight.shape[1])
    bias = 0 if first.bias is None else first.bias.detach()
    return noise_weight, label_weight + bias
