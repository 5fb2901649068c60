"""Decompositions of operators that torch.onnx cannot convert to operators of the model contract.

- A convolution with one group per image, which applies weights that were modulated per image
  (Karras et al. 2020, sec. 2). ONNX requires a constant number of groups.
- Attention on tensors without a head axis.
- Instance norm with running statistics, as batch norm.
- torch.hstack().
- torch.squeeze() along an axis of more than one element, which does nothing.
- torch.topk() and torch.sort() of few elements, as repeated maxima.
- Recurrent layers, unrolled over time by PyTorch's own decompositions.

A decomposition that returns NotImplemented leaves the operator unchanged.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.nn import functional

_Pair = Sequence[int]
MAX_SORTED = 64  # elements


def decompose(program: ExportedProgram) -> ExportedProgram:
    """Return a program with this module's decompositions, or the same program if none apply."""
    targets = {node.target for node in program.graph.nodes if _may_decompose(node)}
    table = {target: rule for target, rule in _DECOMPOSITIONS.items() if target in targets}
    if recurrent := targets & _RECURRENT:
        defaults = torch.export.default_decompositions()
        table |= {target: defaults[target] for target in recurrent}
    return program.run_decompositions(table) if table else program


def _may_decompose(node: torch.fx.Node) -> bool:
    if node.target in _CANDIDATES:
        return True
    if node.target is torch.ops.aten.scaled_dot_product_attention.default:
        return bool(node.args[0].meta["val"].ndim == 3)  # type: ignore[union-attr]
    if node.target is torch.ops.aten.squeeze.dim:
        return _keeps_axis(node.args[0].meta["val"], node.args[1])  # type: ignore[union-attr,arg-type]
    # The number of groups of a convolution may depend on the batch size.
    return any(
        isinstance(each, torch.fx.Node) and isinstance(each.meta.get("val"), torch.SymInt)
        for each in node.args
    )


def _convolution(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Pair = (1, 1),
    padding: _Pair = (0, 0),
    dilation: _Pair = (1, 1),
    groups: int | torch.SymInt = 1,
) -> Any:
    """Compute a convolution of [1, groups * inputs, height, width] as one matrix multiplication."""
    if isinstance(groups, int):
        return NotImplemented
    _, inputs, *kernel = weight.shape
    height, width = (
        (size + 2 * pad - spacing * (side - 1) - 1) // step + 1
        for size, pad, spacing, side, step in zip(
            image.shape[2:], padding, dilation, kernel, stride, strict=True
        )
    )
    images = image.reshape(groups, inputs, *image.shape[2:])
    padded = functional.pad(images, [padding[1], padding[1], padding[0], padding[0]])
    shifted = [  # the pixels under each position of the kernel
        padded[
            :,
            :,
            row : row + (height - 1) * stride[0] + 1 : stride[0],
            column : column + (width - 1) * stride[1] + 1 : stride[1],
        ]
        for row in range(0, kernel[0] * dilation[0], dilation[0])
        for column in range(0, kernel[1] * dilation[1], dilation[1])
    ]
    columns = torch.stack(shifted, 2).flatten(1, 2).flatten(2)  # [groups, inputs * kernel, pixels]
    matrix = weight.reshape(groups, -1, columns.shape[1])  # [groups, outputs, inputs * kernel]
    return _add_bias((matrix @ columns).reshape(1, -1, height, width), bias)


def _transposed_convolution(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Pair = (1, 1),
    padding: _Pair = (0, 0),
    output_padding: _Pair = (0, 0),
    groups: int | torch.SymInt = 1,
    dilation: _Pair = (1, 1),
) -> Any:
    """Compute a transposed convolution of [1, groups * inputs, height, width] per group."""
    if isinstance(groups, int):
        return NotImplemented
    _, outputs, *kernel = weight.shape
    size = [
        (each - 1) * step - 2 * pad + spacing * (side - 1) + extra + 1
        for each, step, pad, spacing, side, extra in zip(
            image.shape[2:], stride, padding, dilation, kernel, output_padding, strict=True
        )
    ]
    rows, columns = image.shape[2:]
    pixels = image.reshape(groups, -1, rows * columns)  # [groups, inputs, pixels]
    matrix = weight.reshape(groups, -1, outputs * kernel[0] * kernel[1]).transpose(1, 2)
    folded = functional.fold(
        matrix @ pixels,
        tuple(size),
        tuple(kernel),
        dilation=tuple(dilation),
        padding=tuple(padding),
        stride=tuple(stride),
    )
    return _add_bias(folded.reshape(1, -1, *size), bias)


def _attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Any:
    if query.ndim != 3:
        return NotImplemented
    query, key, value = (each.unsqueeze(1) for each in (query, key, value))
    attention = functional.scaled_dot_product_attention(query, key, value, *args, **options)
    return attention.squeeze(1)


def _hstack(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(tensors), 1 if tensors[0].ndim > 1 else 0)


def _instance_norm(
    image: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    epsilon: float,
    _cudnn: bool,
) -> Any:
    if use_input_stats:
        return NotImplemented
    return functional.batch_norm(
        image, mean, variance, weight, bias, momentum=momentum, eps=epsilon
    )


def _squeeze(data: Tensor, axis: int) -> Any:
    return data.clone() if _keeps_axis(data, axis) else NotImplemented


def _keeps_axis(data: Tensor, axis: int) -> bool:
    """Return whether squeeze() keeps an axis, because its size is a constant other than 1."""
    return bool(data.ndim) and type(data.shape[axis]) is int and data.shape[axis] != 1


def _topk(
    data: Tensor,
    count: int,
    dim: int = -1,
    largest: bool = True,  # noqa: FBT002 - by position, as in torch.topk()
    _sorted: bool = True,  # noqa: FBT002
) -> Any:
    if data.ndim == 0 or count not in range(1, MAX_SORTED + 1) or not data.is_floating_point():
        return NotImplemented
    rest, values, indices = data if largest else -data, [], []
    for _ in range(count):
        value, index = rest.max(dim, keepdim=True)
        rest = rest.scatter(dim, index, -torch.inf)
        values.append(value)
        indices.append(index)
    chosen = torch.cat(values, dim)
    return chosen if largest else -chosen, torch.cat(indices, dim)


def _sort(data: Tensor, dim: int = -1, descending: bool = False) -> Any:  # noqa: FBT002
    size = data.shape[dim] if data.ndim else 0
    return _topk(data, size, dim, descending) if type(size) is int else NotImplemented


def _stable_sort(data: Tensor, *, stable: bool | None, **options: Any) -> Any:
    del stable  # repeated maxima are stable: max() returns the first of equal elements
    return _sort(data, **options)


def _argsort(data: Tensor, *args: Any, **options: Any) -> Any:
    options.pop("stable", None)
    result = _sort(data, *args, **options)
    return result if result is NotImplemented else result[1]


def _add_bias(image: Tensor, bias: Tensor | None) -> Tensor:
    return image if bias is None else image + bias.view(1, -1, 1, 1)


_RECURRENT = {
    torch.ops.aten.gru.input,
    torch.ops.aten.lstm.input,
    torch.ops.aten.rnn_relu.input,
    torch.ops.aten.rnn_tanh.input,
}
_CANDIDATES = _RECURRENT | {
    torch.ops.aten.argsort.default,
    torch.ops.aten.argsort.stable,
    torch.ops.aten.hstack.default,
    torch.ops.aten.instance_norm.default,
    torch.ops.aten.sort.default,
    torch.ops.aten.sort.stable,
    torch.ops.aten.topk.default,
}
_DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.conv2d.default: _convolution,
    torch.ops.aten.conv_transpose2d.input: _transposed_convolution,
    torch.ops.aten.hstack.default: _hstack,
    torch.ops.aten.instance_norm.default: _instance_norm,
    torch.ops.aten.scaled_dot_product_attention.default: _attention,
    torch.ops.aten.argsort.default: _argsort,
    torch.ops.aten.argsort.stable: _argsort,
    torch.ops.aten.sort.default: _sort,
    torch.ops.aten.sort.stable: _stable_sort,
    torch.ops.aten.squeeze.dim: _squeeze,
    torch.ops.aten.topk.default: _topk,
}
