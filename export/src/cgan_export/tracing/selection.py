"""Selection of a part of each image's features by label.

It is written as features[torch.arange(n), label], or with the parts of all images in one axis, as
features.flatten()[torch.arange(n) * parts + label]. The runtime must see in a graph that images
stay apart, which it cannot where positions within the batch are numbers. torch.gather() and
scatter_() do the same without them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

_aten = torch.ops.aten
_SAME_CONTENT = (
    *(_aten.clone.default, _aten.contiguous.default, _aten.detach.default, _aten.reshape.default),
    *(_aten.to.device, _aten.to.dtype, _aten.to.dtype_layout, _aten.unsqueeze.default),
    *(_aten.lift_fresh_copy.default, _aten.alias.default),
    _aten.view.default,
)
_INTEGERS = torch.int64, torch.int32


def without_positions(program: ExportedProgram) -> GraphModule | None:
    """Return a module without positions in the batch; None if the program has none."""
    module = program.module()
    replaced = [_replace(node) or _replace_flat(node) for node in module.graph.nodes]
    if not any(replaced):
        return None
    module.recompile()
    return module


def _replace(node: Node) -> bool:
    """Replace a selection in place; return False if the node is not one."""
    rule = _RULES.get(node.target)
    if rule is None or node.args[3:] not in ((), (False,)):  # not with accumulate=True
        return False
    data: Any
    indices: Any
    data, indices, *values = node.args[:3]
    axes = [axis for axis, index in enumerate(indices) if index is not None]
    sizes = data.meta["val"].shape
    batches = [axis for axis in axes if _counts(indices[axis], sizes[axis])]
    others = [axis for axis in axes if axis not in batches]
    if len(batches) != 1 or len(others) != 1:
        return False
    (batch,), (axis,) = batches, others
    label = indices[axis].meta["val"]
    if label.ndim != 1 or label.dtype not in _INTEGERS or not _equal(label.shape[0], sizes[batch]):
        return False
    if abs(batch - axis) == 1 and min(batch, axis) > 0:  # the result has another order of axes
        return False
    node.target, node.args = rule, (data, batch, axis, indices[axis], *values)
    return True


def _replace_flat(node: Node) -> bool:
    """Replace features[torch.arange(n) * parts + label] in place; return False for others."""
    data: Any
    given: Any
    index: Any
    if node.target is _aten.index_select.default:
        data, axis, index = node.args
    elif node.target is _aten.index.Tensor:
        data, given = node.args
        axis = len(given) - 1
        index = None if any(each is not None for each in given[:-1]) else given[-1]
    else:
        return False
    if index is None or index.target is not _aten.add.Tensor or index.kwargs:
        return False
    for position, label in (index.args, index.args[::-1]):
        parts = _stride(position)
        if parts and _is_label(label, index, data.meta["val"].shape[axis], parts):
            node.target, node.args = _read_flat, (data, axis, parts, label)
            return True
    return False


def _stride(index: Any) -> int | None:
    """Return the difference of an index 0, k, 2 * k, ..., or None for others."""
    if not isinstance(index, Node):
        return None
    index = _content(index)
    if index.target is _aten.mul.Tensor:
        one, other = index.args
        position, stride = (other, one) if isinstance(one, int) else (one, other)
        return stride if _stride(position) == 1 and isinstance(stride, int) else None
    if index.target is _aten.arange.default:
        return 1
    starts = index.target in (_aten.arange.start, _aten.arange.start_step) and index.args[0] == 0
    stride = index.args[2] if starts and len(index.args) > 2 else 1
    return stride if starts and isinstance(stride, int) else None


def _is_label(label: Any, index: Node, size: Any, parts: int) -> bool:
    """Return whether a node is a number below `parts` per image, if the axis has this size."""
    value = label.meta.get("val") if isinstance(label, Node) else None
    if not isinstance(value, Tensor) or value.ndim != 1 or value.dtype not in _INTEGERS:
        return False
    count, *others = index.meta["val"].shape
    return not others and _equal(value.shape[0], count) and _equal(count * parts, size)


def _counts(index: Node, size: Any) -> bool:
    """Return whether an index is 0, 1, ... up to a batch of this size."""
    shape = index.meta["val"].shape
    if len(shape) != 1 or not _equal(shape[0], size):
        return False
    return _stride(index) == 1


def _content(index: Node) -> Node:
    while index.target in _SAME_CONTENT:
        index = index.args[0]  # type: ignore[assignment]
    return index


def _equal(size: Any, other: Any) -> bool:
    """Return whether two sizes are the same multiple of the batch size."""
    both = isinstance(size, torch.SymInt) and isinstance(other, torch.SymInt)
    return both and bool(size.node.expr == other.node.expr)


def _read(data: Tensor, batch: int, axis: int, label: Tensor) -> Tensor:
    """Return data[..., torch.arange(n), label, ...]."""
    features = data.movedim((batch, axis), (0, 1))  # [batch, parts, ...]
    return features.gather(1, _expanded(label, features)).squeeze(1)


def _read_flat(data: Tensor, axis: int, parts: int, label: Tensor) -> Tensor:
    """Return data[..., torch.arange(n) * parts + label, ...]."""
    features = data.unflatten(axis, (-1, parts))
    return _read(features, axis, axis + 1, label).movedim(0, axis)


def _write(data: Tensor, batch: int, axis: int, label: Tensor, value: Tensor) -> Tensor:
    """Set data[..., torch.arange(n), label, ...] in place."""
    features = data.movedim((batch, axis), (0, 1))
    index = _expanded(label, features)
    features.scatter_(1, index, value.expand_as(features[:, 0]).unsqueeze(1))
    return data


def _expanded(label: Tensor, features: Tensor) -> Tensor:
    """Return the indices of one part of each image, int64 [batch, 1, ...]."""
    index = label.long().reshape(-1, *[1] * (features.ndim - 1))
    return index.expand(-1, 1, *features.shape[2:])


_RULES: dict[Any, Callable[..., Tensor]] = {
    _aten.index.Tensor: _read,
    _aten.index_put_.default: _write,
}
