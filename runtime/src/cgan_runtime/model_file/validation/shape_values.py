"""Values of small int64 tensors, from which graphs compute shapes.

A traced network computes shapes that depend on the batch size in its graph, such as
Shape -> Slice -> Concat -> Reshape. web/src/model/validation/shape_values.js is a port of this
module; change both.
"""

from collections.abc import Callable
from itertools import chain
from typing import TypeAlias

from cgan_runtime.model_file.validation.symbolic import MAX_KNOWN_VALUES, Node, Size, Tensor
from cgan_runtime.model_file.validation.tensor_rules import shape_range

Values: TypeAlias = list[Size]
_MAX_VALUE = 2**31  # larger values are treated as unknown


def values_of(operator: str, node: Node, output: Tensor) -> Values | None:
    """Return the values of a node's int64 output, or None if they are unknown."""
    if operator == "Shape":
        start, end = shape_range(node.attributes, node.inputs[0].rank)
        return list(node.inputs[0].sizes[start:end])
    is_small = not output.batched and output.elements <= MAX_KNOWN_VALUES
    is_known = all(values is not None for values in node.values)
    if operator not in _VALUES or not is_small or not is_known:
        return None
    result = _VALUES[operator](node, output.elements)
    if result is None or any(max(map(abs, size)) > _MAX_VALUE for size in result):
        return None
    return result if len(result) == output.elements else None


# Each function below returns the values of an output with `count` elements.


def _identity(node: Node, _count: int) -> Values:
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


def _reduce_prod(node: Node, count: int) -> Values | None:
    product: Size | None = Size(1)
    for size in node.values[0]:
        product = None if product is None else _multiply(product, size)
    return None if product is None or count != 1 else [product]


def _elementwise(
    operation: Callable[[Size, Size], Size | None],
) -> Callable[[Node, int], Values | None]:
    """Return a function for a binary operator. An input with one value is broadcast."""

    def compute(node: Node, count: int) -> Values | None:
        if any(len(values) not in (1, count) for values in node.values):
            return None
        left, right = (values * count if len(values) < count else values for values in node.values)
        results = []
        for pair in zip(left, right, strict=True):
            result = operation(*pair)
            if result is None:
                return None
            results.append(result)
        return results

    return compute


def _add(left: Size, right: Size) -> Size:
    return Size(left.fixed + right.fixed, left.per_image + right.per_image)


def _subtract(left: Size, right: Size) -> Size:
    return Size(left.fixed - right.fixed, left.per_image - right.per_image)


def _multiply(left: Size, right: Size) -> Size | None:
    if left.per_image and right.per_image:
        return None
    factor, size = (left.fixed, right) if left.per_image == 0 else (right.fixed, left)
    return Size(factor * size.fixed, factor * size.per_image)


def _divide(left: Size, right: Size) -> Size | None:
    """Divide two sizes; onnxruntime rounds toward zero, so only some cases are known."""
    if right.per_image == 0 and right.fixed > 0:
        if left.per_image == 0 and left.fixed >= 0:
            return Size(left.fixed // right.fixed)
        if left.fixed % right.fixed == left.per_image % right.fixed == 0:  # without a remainder
            return Size(left.fixed // right.fixed, left.per_image // right.fixed)
        return None
    # The quotient of two multiples of the batch size does not depend on the batch size.
    is_ratio = right.per_image > 0 and right.fixed == left.fixed == 0
    if is_ratio and left.per_image % right.per_image == 0:
        return Size(left.per_image // right.per_image)
    return None


_VALUES: dict[str, Callable[[Node, int], Values | None]] = {
    **dict.fromkeys(("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"), _identity),
    "Add": _elementwise(_add),
    "Concat": _concat,
    "Div": _elementwise(_divide),
    "Expand": _expand,
    "Gather": _gather,
    "Mul": _elementwise(_multiply),
    "Range": _range,
    "ReduceProd": _reduce_prod,
    "Slice": _slice,
    "Sub": _elementwise(_subtract),
}
