"""Shape rules of elementwise, reduction, normalization and matrix operators.

web/src/model/validation/math_rules.js is a port of this module; change both.
"""

import math
from collections.abc import Callable, Sequence

from cgan_runtime.model_file.validation.rules import TYPE_NAMES
from cgan_runtime.model_file.validation.symbolic import (
    Node,
    NodeResult,
    Tensor,
    axes_of,
    broadcast,
    check,
    check_independent,
    node_result,
)

_ELLIPSIS_LETTERS = "12345678"  # names of the axes that the ellipsis of an Einsum stands for
_SCALARS = Tensor(()), Tensor((1,))


def _elementwise(node: Node) -> NodeResult:
    return node_result(node.inputs[0])


def _composed(node: Node) -> NodeResult:
    """Return the result of an activation that onnxruntime may split into several nodes."""
    return node_result(node.inputs[0], temporary_per_image=3 * node.inputs[0].elements)


def _broadcast(node: Node) -> NodeResult:
    output = broadcast(node.tensors)
    # Where, and Max, Min and Sum of more than two inputs, have intermediate results.
    temporary = 2 * output.elements if len(node.inputs) > 2 else 0
    return node_result(output, temporary_per_image=temporary)


def _prelu(node: Node) -> NodeResult:
    check(broadcast(node.tensors) == node.inputs[0])
    return node_result(node.inputs[0])


def _cast(node: Node) -> NodeResult:
    check(node.attributes["to"] in TYPE_NAMES)
    return node_result(node.inputs[0])


def _clip(node: Node) -> NodeResult:
    check(all(limit == Tensor(()) for limit in node.tensors[1:]))
    return node_result(node.inputs[0])


def _quantize(node: Node) -> NodeResult:
    tensor, *parameters = node.tensors
    if any(parameter not in _SCALARS for parameter in parameters):
        axis = node.axis(tensor.rank)  # each slice along this axis has its own scale
        check_independent(axis != tensor.batch_axis)
        check(all(parameter == Tensor((tensor.shape[axis],)) for parameter in parameters))
    return node_result(tensor)


def _along_axis(node: Node) -> NodeResult:
    tensor = node.inputs[0]
    axis = node.axis(tensor.rank)
    check_independent(axis != tensor.batch_axis)
    is_last = axis == tensor.rank - 1  # otherwise input and output are transposed
    return node_result(tensor, temporary_per_image=0 if is_last else 2 * tensor.elements)


def _cumulate(node: Node) -> NodeResult:
    tensor = node.inputs[0]
    check(node.inputs[1] in _SCALARS)
    (axis,) = axes_of(node.numbers(1), tensor.rank)
    check_independent(axis != tensor.batch_axis)
    return node_result(tensor)


def _reduce(node: Node) -> NodeResult:
    tensor = node.inputs[0]
    axes = axes_of(node.numbers(1), tensor.rank) if node.has(1) else []
    if not axes:
        if node.attributes["noop_with_empty_axes"]:
            return node_result(tensor)
        axes = list(range(tensor.rank))
    return node_result(_reduced(node, tensor, axes), temporary_per_image=tensor.elements)


def _arg(node: Node) -> NodeResult:
    tensor = node.inputs[0]
    output = _reduced(node, tensor, [node.axis(tensor.rank)])
    return node_result(output, temporary_per_image=tensor.elements)


def _reduced(node: Node, tensor: Tensor, axes: Sequence[int]) -> Tensor:
    without_axes = tensor.without(axes)
    if not node.attributes["keepdims"]:
        return without_axes
    return tensor.with_shape(1 if i in axes else size for i, size in enumerate(tensor.shape))


def _layer_norm(node: Node) -> NodeResult:
    tensor = node.inputs[0]
    axis = node.axis(tensor.rank)
    check_independent(tensor.batch_axis is None or tensor.batch_axis < axis)
    check(all(parameter == Tensor(tensor.shape[axis:]) for parameter in node.tensors[1:]))
    return node_result(tensor)


def _channel_norm(node: Node) -> NodeResult:
    tensor, *parameters = node.tensors
    check(tensor.rank >= 2)
    check_independent(tensor.batch_axis in (None, 0))
    check(all(parameter == Tensor((tensor.shape[1],)) for parameter in parameters))
    return node_result(tensor)


def _group_norm(node: Node) -> NodeResult:
    tensor, *parameters = node.tensors
    groups = node.attributes["num_groups"]
    check(tensor.rank >= 3 and groups >= 1 and tensor.shape[1] % groups == 0)
    check_independent(tensor.batch_axis in (None, 0))
    allowed = Tensor((groups,)), Tensor((tensor.shape[1],))  # in opset 20, and in opset 21
    check(all(parameter in allowed for parameter in parameters))
    # onnxruntime splits the node into several ones.
    return node_result(tensor, temporary_per_image=6 * tensor.elements)


def _multiply_matrices(left: Tensor, right: Tensor) -> tuple[Tensor, int]:
    """Return the output of a matrix multiplication and its number of multiplications."""
    check(left.rank >= 1 and right.rank >= 1)
    rows, inner = left.shape[-2:] if left.rank > 1 else (1, *left.shape)
    right_inner, columns = right.shape[-2:] if right.rank > 1 else (*right.shape, 1)
    check_independent(left.batch_axis is None or left.batch_axis != left.rank - 1)
    check_independent(right.batch_axis is None or right.batch_axis != max(right.rank - 2, 0))
    check(inner == right_inner)
    # The output has the shape to which [..., rows, 1] and [..., 1, columns] broadcast. So the batch
    # may be in the rows, in the columns, or in the leading axes of both matrices.
    row_part = left.with_shape((*left.shape[:-2], rows, 1))
    column_part = right.with_shape((*right.shape[:-2], 1, columns))
    output = broadcast([row_part, column_part])
    multiplications = output.elements * inner
    vector_axes = []  # the output has no rows if left is a vector, no columns if right is one
    if left.rank == 1:
        vector_axes.append(output.rank - 2)
    if right.rank == 1:
        vector_axes.append(output.rank - 1)
    return output.without(vector_axes), multiplications


def _matmul(node: Node) -> NodeResult:
    output, multiplications = _multiply_matrices(*node.tensors)
    return node_result(output, multiplications)


def _gemm(node: Node) -> NodeResult:
    left, right = (
        _transposed(tensor) if node.attributes[name] else tensor
        for tensor, name in zip(node.inputs, ("transA", "transB"), strict=False)
    )
    check(left.rank == right.rank == 2)
    output, multiplications = _multiply_matrices(left, right)
    check(all(broadcast([output, bias]) == output for bias in node.tensors[2:]))
    return node_result(output, multiplications)


def _transposed(matrix: Tensor) -> Tensor:
    check(matrix.rank == 2)
    axis = None if matrix.batch_axis is None else 1 - matrix.batch_axis
    return Tensor(matrix.shape[::-1], axis, matrix.outer)


def _einsum(node: Node) -> NodeResult:
    equation = node.attributes["equation"].replace(" ", "")
    terms, result = _einsum_terms(equation, node.tensors)
    vectors: dict[str, Tensor] = {}  # by letter: the shape of a vector along its axis
    for term, tensor in zip(terms, node.tensors, strict=True):
        check(len(term) == tensor.rank == len(set(term)))
        for axis, letter in enumerate(term):
            size = (tensor.shape[axis],)
            vector = Tensor(size, 0, tensor.outer) if axis == tensor.batch_axis else Tensor(size)
            check_independent(vectors.setdefault(letter, vector).batched == vector.batched)
            check(vectors[letter] == vector)
    check(len(set(result)) == len(result) and all(letter in vectors for letter in result))
    batched = [letter for letter in vectors if vectors[letter].batched]
    check_independent(len(batched) <= 1 and all(letter in result for letter in batched))
    shape = tuple(vectors[letter].shape[0] for letter in result)
    output = Tensor(shape)
    if batched:
        output = Tensor(shape, result.index(batched[0]), vectors[batched[0]].outer)
    # onnxruntime multiplies one tensor after another, and drops letters that do not occur later.
    letters, multiplications, moved = set[str](), 0, output.elements
    for index, (term, tensor) in enumerate(zip(terms, node.tensors, strict=True)):
        letters |= set(term)
        multiplications += math.prod(vectors[letter].shape[0] for letter in letters)
        letters &= set(result).union(*terms[index + 1 :])
        moved += tensor.elements + math.prod(vectors[letter].shape[0] for letter in letters)
    return node_result(output, multiplications, 2 * moved)


def _einsum_terms(equation: str, tensors: Sequence[Tensor]) -> tuple[list[str], str]:
    """Return the letters of the inputs and of the output; digits name the axes of an ellipsis.

    For "...ij,jk->...ik" and tensors with 4 and 2 axes: ["78ij", "jk"] and "78ik".
    """
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    check(len(terms) == len(tensors))
    if not arrow:  # by default, the output has the letters that occur once, in alphabetical order
        letters = left.replace("...", "").replace(",", "")
        once = sorted(letter for letter in letters if letters.count(letter) == 1)
        result = ("..." if "..." in left else "") + "".join(once)
    longest = 0  # number of axes of the longest ellipsis
    for index, (term, tensor) in enumerate(zip(terms, tensors, strict=True)):
        if "..." in term:
            count = tensor.rank - len(term) + len("...")
            check(0 <= count <= len(_ELLIPSIS_LETTERS))
            terms[index] = term.replace("...", _ellipsis_letters(count), 1)
            longest = max(longest, count)
    result = result.replace("...", _ellipsis_letters(longest), 1)
    check(all(letter.isascii() and letter.isalnum() for letter in "".join(terms) + result))
    check(not any(letter.isdigit() for letter in equation))
    return terms, result


def _ellipsis_letters(count: int) -> str:
    """Return the letters of an ellipsis of `count` axes, which are aligned at the last one."""
    return _ELLIPSIS_LETTERS[len(_ELLIPSIS_LETTERS) - count :]


MATH_RULES: dict[str, Callable[[Node], NodeResult]] = {
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
