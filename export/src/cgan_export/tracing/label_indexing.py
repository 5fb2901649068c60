"""Rewrite indexing by label with torch.gather() and scatter_().

A module selects a part of each image's features with features[torch.arange(n), label], or, with the
features of all images in one axis, with features.flatten()[torch.arange(n) * parts + label]. The
runtime accepts a graph only if it can prove that the images of a batch do not influence each other.
It cannot if the graph contains batch indices such as torch.arange(n). torch.gather() and scatter_()
need no batch indices.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

_aten = torch.ops.aten
_SAME_VALUES = (  # operators that keep the values of their first argument, in the same order
    _aten.alias.default,
    _aten.clone.default,
    _aten.contiguous.default,
    _aten.detach.default,
    _aten.lift_fresh_copy.default,
    _aten.reshape.default,
    _aten.to.device,
    _aten.to.dtype,
    _aten.to.dtype_layout,
    _aten.unsqueeze.default,
    _aten.view.default,
)
_INTEGERS = torch.int64, torch.int32


def replace_batch_indices(program: ExportedProgram) -> GraphModule | None:
    """Return the module with gather() and scatter_() instead of batch indices.

    Return None if it contains no batch indices.
    """
    module = program.module()
    replaced = [_replace_indexing(node) or _replace_flat(node) for node in module.graph.nodes]
    if not any(replaced):
        return None
    module.recompile()
    return module


def _replace_indexing(node: Node) -> bool:
    """Replace an access to features[torch.arange(n), label] in place.

    Return False if the node is something else.
    """
    replacement = _REPLACEMENTS.get(node.target)
    if replacement is None or node.args[3:] not in ((), (False,)):  # not with accumulate=True
        return False
    data: Any
    indices: Any
    data, indices, *values = node.args[:3]
    axes = [axis for axis, index in enumerate(indices) if index is not None]
    sizes = data.meta["val"].shape
    batch_axes = [axis for axis in axes if _is_batch_index(indices[axis], sizes[axis])]
    label_axes = [axis for axis in axes if axis not in batch_axes]
    if len(batch_axes) != 1 or len(label_axes) != 1:
        return False
    (batch,), (axis,) = batch_axes, label_axes
    label = indices[axis].meta["val"]
    if (
        label.ndim != 1
        or label.dtype not in _INTEGERS
        or not _equal_multiples(label.shape[0], sizes[batch])
    ):
        return False
    # PyTorch puts the batch axis of the result in the place of adjacent indices, _gather() first.
    if abs(batch - axis) == 1 and min(batch, axis) > 0:
        return False
    node.target, node.args = replacement, (data, batch, axis, indices[axis], *values)
    return True


def _replace_flat(node: Node) -> bool:
    """Replace features[torch.arange(n) * parts + label] in place.

    Return False if the node is something else.
    """
    data: Any
    indices: Any
    index: Any
    if node.target is _aten.index_select.default:
        data, axis, index = node.args
    elif node.target is _aten.index.Tensor:
        data, indices = node.args
        axis = len(indices) - 1
        index = None if any(each is not None for each in indices[:-1]) else indices[-1]
    else:
        return False
    if index is None or index.target is not _aten.add.Tensor or index.kwargs:
        return False
    for position, label in (index.args, index.args[::-1]):
        parts = _arange_step(position)
        if parts and _is_label(label, index, data.meta["val"].shape[axis], parts):
            node.target, node.args = _gather_flat, (data, axis, parts, label)
            return True
    return False


def _arange_step(index: Any) -> int | None:
    """Return k if an index is 0, k, 2 * k, ..., otherwise None."""
    if not isinstance(index, Node):
        return None
    index = _skip_copies(index)
    if index.target is _aten.mul.Tensor:
        one, other = index.args
        position, step = (other, one) if isinstance(one, int) else (one, other)
        return step if _arange_step(position) == 1 and isinstance(step, int) else None
    if index.target is _aten.arange.default:
        return 1
    if index.target not in (_aten.arange.start, _aten.arange.start_step) or index.args[0] != 0:
        return None
    step = index.args[2] if len(index.args) > 2 else 1
    return step if isinstance(step, int) else None


def _is_label(label: Any, index: Node, size: Any, parts: int) -> bool:
    """Return whether a node holds one integer per image, and an axis has batch * parts elements.

    Args:
        label: the node.
        index: the sum of the label and the first part of each image.
        size: size of the axis that the index selects from.
        parts: number of parts per image.
    """
    value = label.meta.get("val") if isinstance(label, Node) else None
    if not isinstance(value, Tensor) or value.ndim != 1 or value.dtype not in _INTEGERS:
        return False
    count, *others = index.meta["val"].shape
    return (
        not others
        and _equal_multiples(value.shape[0], count)
        and _equal_multiples(count * parts, size)
    )


def _is_batch_index(index: Node, size: Any) -> bool:
    """Return whether an index is torch.arange(n) on an axis whose size n depends on the batch."""
    shape = index.meta["val"].shape
    if len(shape) != 1 or not _equal_multiples(shape[0], size):
        return False
    return _arange_step(index) == 1


def _skip_copies(index: Node) -> Node:
    while index.target in _SAME_VALUES:
        index = index.args[0]  # type: ignore[assignment]
    return index


def _equal_multiples(size: Any, other: Any) -> bool:
    """Return whether two sizes are equal and depend on the batch size."""
    both = isinstance(size, torch.SymInt) and isinstance(other, torch.SymInt)
    return both and bool(size.node.expr == other.node.expr)


def _gather(data: Tensor, batch: int, axis: int, label: Tensor) -> Tensor:
    """Return data[..., torch.arange(n), label, ...]."""
    features = data.movedim((batch, axis), (0, 1))  # [batch, parts, ...]
    return features.gather(1, _expand_label(label, features)).squeeze(1)


def _gather_flat(data: Tensor, axis: int, parts: int, label: Tensor) -> Tensor:
    """Return data[..., torch.arange(n) * parts + label, ...]."""
    features = data.unflatten(axis, (-1, parts))
    return _gather(features, axis, axis + 1, label).movedim(0, axis)


def _scatter(data: Tensor, batch: int, axis: int, label: Tensor, value: Tensor) -> Tensor:
    """Set data[..., torch.arange(n), label, ...] in place."""
    features = data.movedim((batch, axis), (0, 1))
    index = _expand_label(label, features)
    features.scatter_(1, index, value.expand_as(features[:, 0]).unsqueeze(1))
    return data


def _expand_label(label: Tensor, features: Tensor) -> Tensor:
    """Return the indices of one part of each image, int64 [batch, 1, ...]."""
    index = label.long().reshape(-1, *[1] * (features.ndim - 1))
    return index.expand(-1, 1, *features.shape[2:])


_REPLACEMENTS: dict[Any, Callable[..., Tensor]] = {
    _aten.index.Tensor: _gather,
    _aten.index_put_.default: _scatter,
}
