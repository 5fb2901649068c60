"""Shape rules of operators that move, select or copy elements. web/src/layout.js is the same."""

import math
from collections.abc import Callable

from cgan_runtime.model_file.validation.rules import FLOAT
from cgan_runtime.model_file.validation.symbolic import (
    Cost,
    Node,
    Size,
    Tensor,
    axes_of,
    axis_of,
    broadcast,
    cost,
    from_sizes,
    require,
    require_apart,
    with_layout,
)

_TO_THE_END = 2**31 - 1  # an end of Slice that stands for every size


def _reshape(node: Node) -> Cost:
    tensor, target = node.inputs[0], node.known(1)
    sizes = tensor.sizes
    if not node.attributes["allowzero"]:
        require(all(size != Size(0) or axis < len(sizes) for axis, size in enumerate(target)))
        target = [sizes[axis] if size == Size(0) else size for axis, size in enumerate(target)]
    open_axes = [axis for axis, size in enumerate(target) if size == Size(-1)]
    require(len(open_axes) <= 1)
    fixed = from_sizes([Size(1) if size == Size(-1) else size for size in target])
    shape, batch = list(fixed.shape), fixed.axis
    if open_axes:
        shape[open_axes[0]] = tensor.elements // fixed.elements
        if tensor.batched and batch is None:
            batch = open_axes[0]
    return cost(with_layout(tensor, shape, batch))


def _flatten(node: Node) -> Cost:
    tensor, axis = node.inputs[0], node.attributes["axis"]
    require(-tensor.rank <= axis <= tensor.rank)
    axis += tensor.rank if axis < 0 else 0
    shape = math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis:])
    return cost(
        with_layout(tensor, shape, None if tensor.axis is None else int(tensor.axis >= axis))
    )


def _squeeze(node: Node) -> Cost:
    tensor = node.inputs[0]
    if node.has(1):
        axes = axes_of(node.numbers(1), tensor.rank)
    else:
        axes = [axis for axis, size in enumerate(tensor.shape) if size == 1]
    require(all(tensor.shape[axis] == 1 for axis in axes))
    return cost(tensor.without(axes))


def _unsqueeze(node: Node) -> Cost:
    tensor, numbers = node.inputs[0], node.numbers(1)
    rank = tensor.rank + len(numbers)
    new = axes_of(numbers, rank)
    old = [index for index in range(rank) if index not in new]
    shape = [1] * rank
    for index, size in zip(old, tensor.shape, strict=True):
        shape[index] = size
    axis = None if tensor.axis is None else old[tensor.axis]
    return cost(Tensor(tuple(shape), axis, tensor.before))


def _expand(node: Node) -> Cost:
    tensor, target = node.inputs[0], from_sizes(node.known(1))
    if tensor.batched and target.batched:
        target = target._replace(before=tensor.before)
    return cost(broadcast([tensor, target]))


def _tile(node: Node) -> Cost:
    tensor, repeats = node.inputs[0], from_sizes(node.known(1))
    require(repeats.rank == tensor.rank)
    shape = tuple(size * count for size, count in zip(tensor.shape, repeats.shape, strict=True))
    if tensor.axis is None:
        return cost(Tensor(shape, repeats.axis))
    require_apart(not repeats.batched)
    return cost(Tensor(shape, tensor.axis, tensor.before * repeats.shape[tensor.axis]))


def _concat(node: Node) -> Cost:
    first = node.inputs[0]
    axis = node.axis(first.rank)
    require_apart(axis != first.axis)
    total = 0
    for each in node.tensors:
        require(each.rank == first.rank)
        require_apart((each.axis, each.before) == (first.axis, first.before))
        require(each.replaced(axis, 1) == first.replaced(axis, 1))
        total += each.shape[axis]
    return cost(first.replaced(axis, total))


def _slice(node: Node) -> Cost:
    tensor, starts, ends = node.inputs[0], node.known(1), node.known(2)
    axes = axes_of(node.numbers(3) if node.has(3) else range(len(starts)), tensor.rank)
    steps = node.numbers(4) if node.has(4) else [1] * len(starts)
    require(len(starts) == len(ends) == len(axes) == len(steps))
    shape = list(tensor.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis == tensor.axis:  # the whole batch
            is_end = end == tensor.sizes[axis] or (end.each == 0 and end.fixed >= _TO_THE_END)
            require_apart(start == Size(0) and is_end and step == 1)
            continue
        require(step != 0)
        shape[axis] = len(range(*slice(start.number, end.number, step).indices(shape[axis])))
    return cost(tensor.with_shape(shape))


def _split(node: Node) -> Cost:
    tensor, count = node.inputs[0], node.attributes["num_outputs"]
    axis = node.axis(tensor.rank)
    size = tensor.shape[axis]
    require_apart(axis != tensor.axis)
    require(node.has(1) == (count == 0) and count >= 0)
    if node.has(1):
        parts = node.numbers(1)
    else:
        part = -(-size // count)
        require(part * (count - 1) < size)
        parts = [part] * (count - 1) + [size - part * (count - 1)]
    require(len(parts) >= 1 and sum(parts) == size)
    return Cost(tuple(tensor.replaced(axis, part) for part in parts))


def _gather(node: Node) -> Cost:
    data, indices = node.tensors
    axis = node.axis(data.rank)
    require_apart(data.axis != axis and not (data.batched and indices.batched))
    shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
    batch = None
    if indices.axis is not None:
        batch = axis + indices.axis
    elif data.axis is not None:
        batch = data.axis + (indices.rank - 1 if data.axis > axis else 0)
    output = Tensor(shape, batch, indices.before if indices.batched else data.before)
    return cost(output, temporary=indices.elements)  # a copy of the indices


def _gather_elements(node: Node) -> Cost:
    data, indices = node.tensors
    axis = node.axis(data.rank)
    require(data.rank == indices.rank)
    if data.batched:
        require_apart(data.axis != axis and _same_batch(data, indices))
    else:
        require_apart(indices.axis in (None, axis))
    others = [index for index in range(data.rank) if index != axis]
    require(all(indices.shape[index] <= data.shape[index] for index in others))
    return cost(indices, temporary=indices.elements)


def _same_batch(one: Tensor, other: Tensor) -> bool:
    if one.axis is None or other.axis is None:
        return one.axis == other.axis
    sizes = one.shape[one.axis], other.shape[other.axis]
    return one[1:] == other[1:] and sizes[0] == sizes[1]


def _gather_nd(node: Node) -> Cost:
    data, indices = node.tensors
    return cost(_parts(data, indices), temporary=2 * indices.elements)


def _parts(data: Tensor, indices: Tensor) -> Tensor:
    """Return the parts of a tensor at the indices that the last axis of a tensor contains."""
    require(indices.rank >= 1 and 1 <= indices.shape[-1] <= data.rank)
    require_apart(indices.axis != indices.rank - 1 and not (data.batched and indices.batched))
    count, chosen = indices.shape[-1], indices.rank - 1
    shape = (*indices.shape[:-1], *data.shape[count:])
    if data.axis is None:
        return Tensor(shape, indices.axis, indices.before)
    require_apart(data.axis >= count)
    return Tensor(shape, chosen + data.axis - count, data.before)


def _scatter_elements(node: Node) -> Cost:
    data, indices, updates = node.tensors
    axis = node.axis(data.rank)
    require_apart(axis not in (data.axis, indices.axis) and _same_batch(data, indices))
    require(indices == updates and data.rank == indices.rank)
    others = [index for index in range(data.rank) if index != axis]
    require(all(indices.shape[index] <= data.shape[index] for index in others))
    return cost(data, temporary=indices.elements)


def _scatter_nd(node: Node) -> Cost:
    data, indices, updates = node.tensors
    require(_parts(data, indices) == updates)
    require_apart(not indices.batched)
    return cost(data, temporary=2 * indices.elements)


def _pad(node: Node) -> Cost:
    tensor, pads, mode = node.inputs[0], node.numbers(1), node.attributes["mode"]
    axes = axes_of(node.numbers(3) if node.has(3) else range(tensor.rank), tensor.rank)
    require(len(pads) == 2 * len(axes))
    require(not node.has(2) or node.inputs[2] in (Tensor(()), Tensor((1,))))
    shape = list(tensor.shape)
    for index, axis in enumerate(axes):
        begin, end = pads[index], pads[index + len(axes)]
        require_apart(axis != tensor.axis or begin == end == 0)
        require(mode == "constant" or min(begin, end) >= 0)
        require(
            max(begin, end) <= {"reflect": shape[axis] - 1, "wrap": shape[axis]}.get(mode, 2**31)
        )
        require(min(begin, end, begin + end) > -shape[axis])
        shape[axis] += begin + end
    return cost(tensor.with_shape(shape))


def _transpose(node: Node) -> Cost:
    tensor, order = node.inputs[0], node.attributes["perm"]
    require(sorted(order) == list(range(tensor.rank)))
    axis = None if tensor.axis is None else order.index(tensor.axis)
    return cost(Tensor(tuple(tensor.shape[each] for each in order), axis, tensor.before))


def _shape(node: Node) -> Cost:
    rank = node.inputs[0].rank
    start, end = shape_range(node.attributes, rank)
    require(start < end)
    return cost(Tensor((end - start,)))


def shape_range(attributes: dict[str, int], rank: int) -> tuple[int, int]:
    """Return the first and the last axis, exclusive, that Shape returns."""
    start, end, _ = slice(attributes["start"], attributes["end"]).indices(rank)
    return start, end


def _constant(node: Node) -> Cost:
    tensor: Tensor = node.attributes["value"].tensor
    return cost(tensor)


def _constant_of_shape(node: Node) -> Cost:
    value = node.attributes["value"]
    require(value == FLOAT or value.tensor.elements == 1)
    return cost(from_sizes(node.known(0)))


def _range(node: Node) -> Cost:
    require(all(each == Tensor(()) for each in node.tensors))
    (start,), (limit,), (delta,) = (node.numbers(index) for index in range(3))
    require(delta != 0)
    return cost(Tensor((len(range(start, limit, delta)),)))


def _one_hot(node: Node) -> Cost:
    indices, depth, values = node.tensors
    (count,) = node.numbers(1)
    require(depth.elements == 1 and values == Tensor((2,)))
    axis = axis_of(node.attributes["axis"], indices.rank + 1)
    shape = (*indices.shape[:axis], count, *indices.shape[axis:])
    batch = indices.axis
    if batch is not None and axis <= batch:
        batch += 1
    return cost(Tensor(shape, batch, indices.before), temporary=indices.elements)


def _trilu(node: Node) -> Cost:
    tensor = node.inputs[0]
    require(tensor.rank >= 2 and (not node.has(1) or node.inputs[1].elements == 1))
    require_apart(tensor.axis is None or tensor.axis < tensor.rank - 2)
    return cost(tensor)


LAYOUT_RULES: dict[str, Callable[[Node], Cost]] = {
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
