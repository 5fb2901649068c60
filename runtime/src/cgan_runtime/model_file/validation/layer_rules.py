"""Shape rules of operators that compute. web/src/layers.js is the same."""

import math
from collections.abc import Callable, Sequence

from cgan_runtime.model_file.validation.rules import TYPE_NAMES
from cgan_runtime.model_file.validation.symbolic import (
    Cost,
    Node,
    Tensor,
    axes_of,
    broadcast,
    cost,
    require,
    require_apart,
)

_DIGITS = "12345678"
_SCALARS = Tensor(()), Tensor((1,))


def _elementwise(node: Node) -> Cost:
    return cost(node.inputs[0])


def _composed(node: Node) -> Cost:
    """An activation that onnxruntime may split into several nodes."""
    return cost(node.inputs[0], temporary=3 * node.inputs[0].elements)


def _broadcast(node: Node) -> Cost:
    output = broadcast(node.tensors)
    return cost(output, temporary=2 * output.elements if len(node.inputs) > 2 else 0)


def _prelu(node: Node) -> Cost:
    require(broadcast(node.tensors) == node.inputs[0])
    return cost(node.inputs[0])


def _cast(node: Node) -> Cost:
    require(node.attributes["to"] in TYPE_NAMES)
    return cost(node.inputs[0])


def _clip(node: Node) -> Cost:
    require(all(limit == Tensor(()) for limit in node.tensors[1:]))
    return cost(node.inputs[0])


def _quantize(node: Node) -> Cost:
    tensor, *parameters = node.tensors
    if any(each not in _SCALARS for each in parameters):
        axis = node.axis(tensor.rank)  # one quantization step for each slice of it
        require_apart(axis != tensor.axis)
        require(all(each == Tensor((tensor.shape[axis],)) for each in parameters))
    return cost(tensor)


def _along_axis(node: Node) -> Cost:
    tensor = node.inputs[0]
    axis = node.axis(tensor.rank)
    require_apart(axis != tensor.axis)
    is_last = axis == tensor.rank - 1  # otherwise input and output are transposed
    return cost(tensor, temporary=0 if is_last else 2 * tensor.elements)


def _cumulate(node: Node) -> Cost:
    tensor = node.inputs[0]
    require(node.inputs[1] in _SCALARS)
    (axis,) = axes_of(node.numbers(1), tensor.rank)
    require_apart(axis != tensor.axis)
    return cost(tensor)


def _reduce(node: Node) -> Cost:
    tensor = node.inputs[0]
    axes = axes_of(node.numbers(1), tensor.rank) if node.has(1) else []
    if not axes:
        if node.attributes["noop_with_empty_axes"]:
            return cost(tensor)
        axes = list(range(tensor.rank))
    return cost(_reduced(node, tensor, axes), temporary=tensor.elements)


def _arg(node: Node) -> Cost:
    tensor = node.inputs[0]
    return cost(_reduced(node, tensor, [node.axis(tensor.rank)]), temporary=tensor.elements)


def _reduced(node: Node, tensor: Tensor, axes: Sequence[int]) -> Tensor:
    without = tensor.without(axes)
    if not node.attributes["keepdims"]:
        return without
    return tensor.with_shape(1 if i in axes else size for i, size in enumerate(tensor.shape))


def _layer_norm(node: Node) -> Cost:
    tensor = node.inputs[0]
    axis = node.axis(tensor.rank)
    require_apart(tensor.axis is None or tensor.axis < axis)
    require(all(each == Tensor(tensor.shape[axis:]) for each in node.tensors[1:]))
    return cost(tensor)


def _channel_norm(node: Node) -> Cost:
    tensor, *parameters = node.tensors
    require(tensor.rank >= 2)
    require_apart(tensor.axis in (None, 0))
    require(all(each == Tensor((tensor.shape[1],)) for each in parameters))
    return cost(tensor)


def _group_norm(node: Node) -> Cost:
    tensor, *parameters = node.tensors
    groups = node.attributes["num_groups"]
    require(tensor.rank >= 3 and groups >= 1 and tensor.shape[1] % groups == 0)
    require_apart(tensor.axis in (None, 0))
    allowed = Tensor((groups,)), Tensor((tensor.shape[1],))  # in opset 20, and in opset 21
    require(all(each in allowed for each in parameters))
    return cost(tensor, temporary=6 * tensor.elements)  # onnxruntime splits it into several nodes


def _product(left: Tensor, right: Tensor) -> tuple[Tensor, int]:
    """Return a matrix product and its number of multiplications."""
    require(left.rank >= 1 and right.rank >= 1)
    rows, inner = left.shape[-2:] if left.rank > 1 else (1, *left.shape)
    other, columns = right.shape[-2:] if right.rank > 1 else (*right.shape, 1)
    require_apart(left.axis is None or left.axis != left.rank - 1)
    require_apart(right.axis is None or right.axis != max(right.rank - 2, 0))
    require(inner == other)
    # The batch is in the rows of the left matrix, in the columns of the right one, or in leading
    # axes, which both have. Ones make the three cases a broadcast of two tensors.
    one = Tensor((*left.shape[:-2], rows, 1), left.axis, left.before)
    shape = (*right.shape[:-2], 1, columns)
    two = Tensor(shape, right.axis, right.before)
    output = broadcast([one, two])
    multiplications = output.elements * inner
    vectors = (left.rank == 1, output.rank - 2), (right.rank == 1, output.rank - 1)
    return output.without([axis for is_vector, axis in vectors if is_vector]), multiplications


def _matmul(node: Node) -> Cost:
    output, multiplications = _product(*node.tensors)
    return cost(output, multiplications)


def _gemm(node: Node) -> Cost:
    left, right = (
        _swapped(each) if node.attributes[name] else each
        for each, name in zip(node.inputs, ("transA", "transB"), strict=False)
    )
    require(left.rank == right.rank == 2)
    output, multiplications = _product(left, right)
    require(all(broadcast([output, bias]) == output for bias in node.tensors[2:]))
    return cost(output, multiplications)


def _swapped(tensor: Tensor) -> Tensor:
    require(tensor.rank == 2)
    axis = None if tensor.axis is None else 1 - tensor.axis
    return Tensor(tensor.shape[::-1], axis, tensor.before)


def _einsum(node: Node) -> Cost:
    terms, result = _letters_of(node.attributes["equation"].replace(" ", ""), node.tensors)
    sizes: dict[str, Tensor] = {}  # of a vector along each letter
    for term, tensor in zip(terms, node.tensors, strict=True):
        require(len(term) == tensor.rank == len(set(term)))
        for index, name in enumerate(term):
            own = index == tensor.axis
            vector = Tensor((tensor.shape[index],), 0 if own else None, tensor.before if own else 1)
            require_apart(sizes.setdefault(name, vector).axis == vector.axis)
            require(sizes[name] == vector)
    require(len(set(result)) == len(result) and all(name in sizes for name in result))
    batched = [name for name in sizes if sizes[name].batched]
    require_apart(len(batched) <= 1 and all(name in result for name in batched))
    shape = tuple(sizes[name].shape[0] for name in result)
    axis = result.index(batched[0]) if batched else None
    output = Tensor(shape, axis, sizes[batched[0]].before if batched else 1)
    # onnxruntime multiplies one tensor after another, and drops letters that do not occur later.
    letters, multiplications, moved = set[str](), 0, output.elements
    for index, (term, tensor) in enumerate(zip(terms, node.tensors, strict=True)):
        letters |= set(term)
        multiplications += math.prod(sizes[name].shape[0] for name in letters)
        letters &= set(result).union(*terms[index + 1 :])
        moved += tensor.elements + math.prod(sizes[name].shape[0] for name in letters)
    return cost(output, multiplications, 2 * moved)


def _letters_of(equation: str, tensors: Sequence[Tensor]) -> tuple[list[str], str]:
    """Return the names of the axes of the inputs and of the output; an ellipsis becomes digits."""
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    require(len(terms) == len(tensors))
    if not arrow:
        names = left.replace("...", "").replace(",", "")
        once = sorted(name for name in names if names.count(name) == 1)
        result = "..." * ("..." in left) + "".join(once)
    hidden = [tensor.rank - len(term) + 3 for term, tensor in zip(terms, tensors, strict=True)]
    counts = [count for count, term in zip(hidden, terms, strict=True) if "..." in term]
    require(all(0 <= count <= len(_DIGITS) for count in counts))
    terms = [
        term.replace("...", _DIGITS[len(_DIGITS) - count :] if "..." in term else "", 1)
        for term, count in zip(terms, hidden, strict=True)
    ]
    result = result.replace("...", _DIGITS[len(_DIGITS) - max(counts, default=0) :], 1)
    require(all(name.isascii() and name.isalnum() for name in "".join(terms) + result))
    require(not any(name.isdigit() for name in equation))
    return terms, result


LAYER_RULES: dict[str, Callable[[Node], Cost]] = {
    "along_axis": _along_axis,
    "arg": _arg,
    "broadcast": _broadcast,
    "cast": _cast,
    "channel_norm": _channel_norm,
    "clip": _clip,
    "composed": _composed,
    "cumulate": _cumulate,
    "einsum": _einsum,
    "elementwise": _elementwise,
    "gemm": _gemm,
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
    "matmul": _matmul,
    "prelu": _prelu,
    "quantize": _quantize,
    "reduce": _reduce,
}
