"""The content of small tensors of whole numbers, from which graphs compute shapes.

A traced network computes shapes that depend on the batch size in its graph, such as
Shape -> Slice -> Concat -> Reshape. web/src/values.js is the same for the web page.
"""

from collections.abc import Callable
from itertools import chain
from typing import TypeAlias

from cgan_runtime.model_file.validation.layout_rules import shape_range
from cgan_runtime.model_file.validation.symbolic import MAX_KNOWN_VALUES, Node, Size, Tensor

Values: TypeAlias = list[Size]
_LIMIT = 2**31  # larger results are not followed


def values_of(kind: str, node: Node, output: Tensor) -> Values | None:
    """Return the content of a node's int64 output, or None if it is not known."""
    if kind == "Shape":
        start, end = shape_range(node.attributes, node.inputs[0].rank)
        return list(node.inputs[0].sizes[start:end])
    is_small = not output.batched and output.elements <= MAX_KNOWN_VALUES
    if kind not in _VALUES or not is_small or any(each is None for each in node.values):
        return None
    result = _VALUES[kind](node, output.elements)
    if result is None or any(max(map(abs, size)) > _LIMIT for size in result):
        return None
    return result if len(result) == output.elements else None


def _same(node: Node, _count: int) -> Values:
    return list(node.values[0])


def _concat(node: Node, _count: int) -> Values | None:
    return list(chain(*node.values)) if node.inputs[0].rank == 1 else None


def _slice(node: Node, _count: int) -> Values | None:
    if node.inputs[0].rank != 1:
        return None
    (start,), (end,) = node.numbers(1), node.numbers(2)
    (step,) = node.numbers(4) if node.has(4) else (1,)
    return list(node.values[0][start:end:step])


def _gather(node: Node, _count: int) -> Values | None:
    data = node.values[0]
    indices = node.numbers(1)
    if node.inputs[0].rank != 1 or not all(-len(data) <= index < len(data) for index in indices):
        return None
    return [data[index] for index in indices]


def _expand(node: Node, count: int) -> Values | None:
    return list(node.values[0]) * count if node.inputs[0].elements == 1 else None


def _range(node: Node, _count: int) -> Values:
    start, limit, delta = (node.numbers(index)[0] for index in range(3))
    return [Size(number) for number in range(start, limit, delta)]


def _product(node: Node, count: int) -> Values | None:
    result: Size | None = Size(1)
    for size in node.values[0]:
        result = None if result is None else _multiply(result, size)
    return None if result is None or count != 1 else [result]


def _pairwise(
    operation: Callable[[Size, Size], Size | None],
) -> Callable[[Node, int], Values | None]:
    def compute(node: Node, count: int) -> Values | None:
        if any(len(each) not in (1, count) for each in node.values):
            return None
        one, two = (each * count if len(each) < count else each for each in node.values)
        results = [operation(*pair) for pair in zip(one, two, strict=True)]
        return [size for size in results if size is not None]

    return compute


def _add(one: Size, other: Size) -> Size:
    return Size(one.fixed + other.fixed, one.each + other.each)


def _subtract(one: Size, other: Size) -> Size:
    return Size(one.fixed - other.fixed, one.each - other.each)


def _multiply(one: Size, other: Size) -> Size | None:
    if one.each and other.each:
        return None
    number, size = (one.fixed, other) if one.each == 0 else (other.fixed, one)
    return Size(number * size.fixed, number * size.each)


def _divide(one: Size, other: Size) -> Size | None:
    if other.each == 0 and other.fixed > 0 and one.each == 0 and one.fixed >= 0:
        return Size(one.fixed // other.fixed)
    if (
        other.each == 0
        and other.fixed > 0
        and one.fixed % other.fixed == one.each % other.fixed == 0
    ):
        return Size(one.fixed // other.fixed, one.each // other.fixed)
    if other.each > 0 and other.fixed == one.fixed == 0 and one.each % other.each == 0:
        return Size(one.each // other.each)
    return None


_VALUES: dict[str, Callable[[Node, int], Values | None]] = {
    **dict.fromkeys(("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"), _same),
    "Add": _pairwise(_add),
    "Concat": _concat,
    "Div": _pairwise(_divide),
    "Expand": _expand,
    "Gather": _gather,
    "Mul": _pairwise(_multiply),
    "Range": _range,
    "ReduceProd": _product,
    "Slice": _slice,
    "Sub": _pairwise(_subtract),
}
