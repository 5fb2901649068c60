"""Shape rules of operators that create, move, select or copy elements.

web/src/model/validation/tensor_rules.js is a port of this module; change both.
"""

import math
from collections.abc import Callable

from cgan_runtime.model_file.validation.rules import FLOAT
from cgan_runtime.model_file.validation.symbolic import (
    Node,
    NodeResult,
    Size,
    Tensor,
    axes_of,
    axis_of,
    broadcast,
    check,
    check_independent,
    from_sizes,
    node_result,
    reshaped,
)

_TO_THE_END = 2**31 - 1  # Slice with at least this end takes everything up to the end
_MAX_PAD = 2**31


def _reshape(node: Node) -> NodeResult:
    tensor, target = node.inputs[0], node.required_values(1)
    sizes = tensor.sizes
    if not node.attributes["allowzero"]:
        # Size 0 stands for the size of the input along the same axis.
        check(all(size != Size(0) or axis < len(sizes) for axis, size in enumerate(target)))
        target = [sizes[axis] if size == Size(0) else size for axis, size in enumerate(target)]
    # Size -1 stands for the size that follows from the number of elements.
    inferred_axes = [axis for axis, size in enumerate(target) if size == Size(-1)]
    check(len(inferred_axes) <= 1)
    given = from_sizes([Size(1) if size == Size(-1) else size for size in target])
    shape, batch_axis = list(given.shape), given.batch_axis
    if inferred_axes:
        shape[inferred_axes[0]] = tensor.elements // given.elements
        if tensor.batched and batch_axis is None:
            batch_axis = inferred_axes[0]
    return node_result(reshaped(tensor, shape, batch_axis))


def _flatten(node: Node) -> NodeResult:
    tensor, axis = node.inputs[0], node.attributes["axis"]
    check(-tensor.rank <= axis <= tensor.rank)
    axis += tensor.rank if axis < 0 else 0
    shape = math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis:])
    batch_axis = None if tensor.batch_axis is None else int(tensor.batch_axis >= axis)
    return node_result(reshaped(tensor, shape, batch_axis))


def _squeeze(node: Node) -> NodeResult:
    tensor = node.inputs[0]
    if node.has(1):
        axes = axes_of(node.numbers(1), tensor.rank)
    else:
        axes = [axis for axis, size in enumerate(tensor.shape) if size == 1]
    check(all(tensor.shape[axis] == 1 for axis in axes))
    return node_result(tensor.without(axes))


def _unsqueeze(node: Node) -> NodeResult:
    tensor, numbers = node.inputs[0], node.numbers(1)
    rank = tensor.rank + len(numbers)
    new = axes_of(numbers, rank)
    old = [index for index in range(rank) if index not in new]
    shape = [1] * rank
    for index, size in zip(old, tensor.shape, strict=True):
        shape[index] = size
    batch_axis = None if tensor.batch_axis is None else old[tensor.batch_axis]
    return node_result(Tensor(tuple(shape), batch_axis, tensor.outer))


def _expand(node: Node) -> NodeResult:
    tensor, target = node.inputs[0], from_sizes(node.required_values(1))
    if tensor.batched and target.batched:
        target = target._replace(outer=tensor.outer)
    return node_result(broadcast([tensor, target]))


def _tile(node: Node) -> NodeResult:
    tensor, repeats = node.inputs[0], from_sizes(node.required_values(1))
    check(repeats.rank == tensor.rank)
    shape = tuple(size * count for size, count in zip(tensor.shape, repeats.shape, strict=True))
    if tensor.batch_axis is None:
        return node_result(Tensor(shape, repeats.batch_axis))
    check_independent(not repeats.batched)
    outer = tensor.outer * repeats.shape[tensor.batch_axis]
    return node_result(Tensor(shape, tensor.batch_axis, outer))


def _concat(node: Node) -> NodeResult:
    first = node.inputs[0]
    axis = node.axis(first.rank)
    check_independent(axis != first.batch_axis)
    total = 0
    for tensor in node.tensors:
        check(tensor.rank == first.rank)
        check_independent(tensor.has_same_batch(first))
        check(tensor.replaced(axis, 1) == first.replaced(axis, 1))
        total += tensor.shape[axis]
    return node_result(first.replaced(axis, total))


def _slice(node: Node) -> NodeResult:
    tensor, starts, ends = node.inputs[0], node.required_values(1), node.required_values(2)
    axes = axes_of(node.numbers(3) if node.has(3) else range(len(starts)), tensor.rank)
    steps = node.numbers(4) if node.has(4) else [1] * len(starts)
    check(len(starts) == len(ends) == len(axes) == len(steps))
    shape = list(tensor.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis == tensor.batch_axis:  # only the whole batch is allowed
            is_end = end == tensor.sizes[axis] or (end.per_image == 0 and end.fixed >= _TO_THE_END)
            check_independent(start == Size(0) and is_end and step == 1)
            continue
        check(step != 0)
        shape[axis] = len(range(*slice(start.number, end.number, step).indices(shape[axis])))
    return node_result(tensor.with_shape(shape))


def _split(node: Node) -> NodeResult:
    tensor, count = node.inputs[0], node.attributes["num_outputs"]
    axis = node.axis(tensor.rank)
    size = tensor.shape[axis]
    check_independent(axis != tensor.batch_axis)
    check(node.has(1) == (count == 0) and count >= 0)
    if node.has(1):
        parts = node.numbers(1)
    else:
        part = (size + count - 1) // count  # rounded up; the last part may be smaller
        check(part * (count - 1) < size)
        parts = [part] * (count - 1) + [size - part * (count - 1)]
    check(len(parts) >= 1 and sum(parts) == size)
    return NodeResult(tuple(tensor.replaced(axis, part) for part in parts))


def _gather(node: Node) -> NodeResult:
    data, indices = node.tensors
    axis = node.axis(data.rank)
    check_independent(data.batch_axis != axis and not (data.batched and indices.batched))
    shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
    output = Tensor(shape)
    if indices.batch_axis is not None:
        output = Tensor(shape, axis + indices.batch_axis, indices.outer)
    elif data.batch_axis is not None:
        shift = indices.rank - 1 if data.batch_axis > axis else 0
        output = Tensor(shape, data.batch_axis + shift, data.outer)
    return node_result(output, temporary_per_image=indices.elements)  # a copy of the indices


def _gather_elements(node: Node) -> NodeResult:
    data, indices = node.tensors
    axis = node.axis(data.rank)
    check(data.rank == indices.rank)
    if data.batched:
        check_independent(data.batch_axis != axis and _has_same_images(data, indices))
    else:
        check_independent(indices.batch_axis in (None, axis))
    _check_within(indices, data, axis)
    return node_result(indices, temporary_per_image=indices.elements)


def _has_same_images(left: Tensor, right: Tensor) -> bool:
    """Return whether elements at the same position along the batch axis belong to one image."""
    if left.batch_axis is None or right.batch_axis is None:
        return left.batch_axis == right.batch_axis
    sizes = left.shape[left.batch_axis], right.shape[right.batch_axis]
    return left.has_same_batch(right) and sizes[0] == sizes[1]


def _check_within(indices: Tensor, data: Tensor, axis: int) -> None:
    """Raise a ShapeError if indices are larger than data along an axis other than this one."""
    others = [other for other in range(data.rank) if other != axis]
    check(all(indices.shape[other] <= data.shape[other] for other in others))


def _gather_nd(node: Node) -> NodeResult:
    data, indices = node.tensors
    return node_result(_gathered(data, indices), temporary_per_image=2 * indices.elements)


def _gathered(data: Tensor, indices: Tensor) -> Tensor:
    """Return the slices of `data` at the index tuples in the last axis of `indices`."""
    check(indices.rank >= 1 and 1 <= indices.shape[-1] <= data.rank)
    last_axis, tuple_length = indices.rank - 1, indices.shape[-1]
    check_independent(indices.batch_axis != last_axis and not (data.batched and indices.batched))
    shape = (*indices.shape[:-1], *data.shape[tuple_length:])
    if data.batch_axis is None:
        return Tensor(shape, indices.batch_axis, indices.outer)
    check_independent(data.batch_axis >= tuple_length)
    return Tensor(shape, last_axis + data.batch_axis - tuple_length, data.outer)


def _scatter_elements(node: Node) -> NodeResult:
    data, indices, updates = node.tensors
    axis = node.axis(data.rank)
    check_independent(axis not in (data.batch_axis, indices.batch_axis))
    check_independent(_has_same_images(data, indices))
    check(indices == updates and data.rank == indices.rank)
    _check_within(indices, data, axis)
    return node_result(data, temporary_per_image=indices.elements)


def _scatter_nd(node: Node) -> NodeResult:
    data, indices, updates = node.tensors
    check(_gathered(data, indices) == updates)
    check_independent(not indices.batched)
    return node_result(data, temporary_per_image=2 * indices.elements)


def _pad(node: Node) -> NodeResult:
    tensor, pads, mode = node.inputs[0], node.numbers(1), node.attributes["mode"]
    axes = axes_of(node.numbers(3) if node.has(3) else range(tensor.rank), tensor.rank)
    check(len(pads) == 2 * len(axes))
    check(not node.has(2) or node.inputs[2] in (Tensor(()), Tensor((1,))))
    shape = list(tensor.shape)
    for index, axis in enumerate(axes):
        begin, end = pads[index], pads[index + len(axes)]
        check_independent(axis != tensor.batch_axis or begin == end == 0)
        check(mode == "constant" or min(begin, end) >= 0)
        largest = {"reflect": shape[axis] - 1, "wrap": shape[axis]}  # limits of these modes
        check(max(begin, end) <= largest.get(mode, _MAX_PAD))
        check(min(begin, end, begin + end) > -shape[axis])
        shape[axis] += begin + end
    return node_result(tensor.with_shape(shape))


def _transpose(node: Node) -> NodeResult:
    tensor, order = node.inputs[0], node.attributes["perm"]
    check(sorted(order) == list(range(tensor.rank)))
    batch_axis = None if tensor.batch_axis is None else order.index(tensor.batch_axis)
    shape = tuple(tensor.shape[axis] for axis in order)
    return node_result(Tensor(shape, batch_axis, tensor.outer))


def _shape(node: Node) -> NodeResult:
    rank = node.inputs[0].rank
    start, end = shape_range(node.attributes, rank)
    check(start < end)
    return node_result(Tensor((end - start,)))


def shape_range(attributes: dict[str, int], rank: int) -> tuple[int, int]:
    """Return the first axis whose size Shape returns, and the axis after the last one."""
    start, end, _ = slice(attributes["start"], attributes["end"]).indices(rank)
    return start, end


def _constant(node: Node) -> NodeResult:
    tensor: Tensor = node.attributes["value"].tensor
    return node_result(tensor)


def _constant_of_shape(node: Node) -> NodeResult:
    value = node.attributes["value"]
    check(value == FLOAT or value.tensor.elements == 1)
    return node_result(from_sizes(node.required_values(0)))


def _range(node: Node) -> NodeResult:
    check(all(tensor == Tensor(()) for tensor in node.tensors))
    (start,), (limit,), (delta,) = (node.numbers(index) for index in range(3))
    check(delta != 0)
    return node_result(Tensor((len(range(start, limit, delta)),)))


def _one_hot(node: Node) -> NodeResult:
    indices, depth, values = node.tensors
    (count,) = node.numbers(1)
    check(depth.elements == 1 and values == Tensor((2,)))
    axis = axis_of(node.attributes["axis"], indices.rank + 1)
    shape = (*indices.shape[:axis], count, *indices.shape[axis:])
    batch_axis = indices.batch_axis
    if batch_axis is not None and axis <= batch_axis:  # the new axis is before the batch
        batch_axis += 1
    output = Tensor(shape, batch_axis, indices.outer)
    return node_result(output, temporary_per_image=indices.elements)


def _trilu(node: Node) -> NodeResult:
    tensor = node.inputs[0]
    check(tensor.rank >= 2 and (not node.has(1) or node.inputs[1].elements == 1))
    check_independent(tensor.batch_axis is None or tensor.batch_axis < tensor.rank - 2)
    return node_result(tensor)


TENSOR_RULES: dict[str, Callable[[Node], NodeResult]] = {
    "concat": _concat,
    "constant": _constant,
    "constant_of_shape": _constant_of_shape,
    "expand": _expand,
    "flatten": _flatten,
    "gather": _gather,
    "gather_elements": _gather_elements,
    "gather_nd": _gather_nd,
    "one_hot": _one_hot,
    "pad": _pad,
    "range": _range,
    "reshape": _reshape,
    "scatter_elements": _scatter_elements,
    "scatter_nd": _scatter_nd,
    "shape": _shape,
    "slice": _slice,
    "split": _split,
    "squeeze": _squeeze,
    "tile": _tile,
    "transpose": _transpose,
    "trilu": _trilu,
    "unsqueeze": _unsqueeze,
}
