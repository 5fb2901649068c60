"""The shape rule of each operator: the output's shape, and what it costs.

The batch size stays symbolic: it can be a factor of the first axis only, and no rule mixes the
images of a batch. So a shape that is inferred here holds for every batch size, which no comparison
at chosen batch sizes ensures. web/src/shapes.js implements the same rules.
"""

import math
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, NamedTuple, TypeAlias

from cgan_runtime.model_file.contract import MAX_BATCH
from cgan_runtime.model_file.rules import INT64, TYPE_NAMES

Shape: TypeAlias = tuple[int, ...]


class MisfitError(Exception):
    """The inputs or attributes of a node do not fit."""


class Tensor(NamedTuple):
    """A tensor's shape. If batched, its first axis is that size times the batch size."""

    shape: Shape
    batched: bool = False

    @property
    def elements(self) -> int:
        """Number of elements for a batch of MAX_BATCH images."""
        return math.prod(self.sizes)

    @property
    def sizes(self) -> Shape:
        """The shape for a batch of MAX_BATCH images."""
        return (self.shape[0] * MAX_BATCH, *self.shape[1:]) if self.batched else self.shape


class Node(NamedTuple):
    """The properties of a node that determine its output shape and cost."""

    inputs: list[Tensor]
    attributes: dict[str, Any]  # by name, with defaults: int, list of int, or str
    constant: list[int] | None  # value of its second input, if that is an int64 initializer


class Cost(NamedTuple):
    """What a node computes for a batch of MAX_BATCH images."""

    output: Tensor
    multiplications: int = 0
    temporary: int = 0  # elements of temporary tensors


def _require(condition: bool) -> None:
    if not condition:
        raise MisfitError


def _broadcast_pair(one: Tensor, other: Tensor) -> Tensor:
    batched = one.batched or other.batched
    if one.batched and other.batched:
        _require(len(one.shape) == len(other.shape) and one.shape[0] == other.shape[0])
    elif batched:
        longer, fixed = (one, other) if one.batched else (other, one)
        _require(len(fixed.shape) < len(longer.shape) or fixed.shape[0] == 1)
        _require(len(fixed.shape) <= len(longer.shape))
    pairs = list(zip_longest(reversed(one.shape), reversed(other.shape), fillvalue=1))
    _require(all(a == b or 1 in (a, b) for a, b in pairs))
    return Tensor(tuple(map(max, reversed(pairs))), batched)


def _elementwise(node: Node) -> Cost:
    return Cost(node.inputs[0])


def _broadcast(node: Node) -> Cost:
    return Cost(_broadcast_pair(*node.inputs))


def _cast(node: Node) -> Cost:
    _require(node.attributes["to"] in TYPE_NAMES and node.attributes["to"] != INT64)
    return Cost(node.inputs[0])


def _clip(node: Node) -> Cost:
    _require(all(limit == Tensor(()) for limit in node.inputs[1:]))
    return Cost(node.inputs[0])


def _quantize(node: Node) -> Cost:
    tensor, *parameters = node.inputs
    axes, axis = len(tensor.shape), node.attributes["axis"]
    for parameter in parameters:
        _require(not parameter.batched and parameter.shape == parameters[0].shape)
        if parameter.shape not in ((), (1,)):  # one quantization step for each slice of the axis
            _require(-axes <= axis < axes and not (tensor.batched and axis % axes == 0))
            _require(parameter.shape == (tensor.shape[axis],))
    return Cost(tensor)


def _gather(node: Node) -> Cost:
    data, indices = node.inputs
    _require(node.attributes["axis"] == 0 and len(data.shape) > 0 and not data.batched)
    shape = indices.shape + data.shape[1:]
    return Cost(Tensor(shape, indices.batched), temporary=indices.elements)  # a copy of the indices


def _gemm(node: Node) -> Cost:
    left, right = node.inputs[:2]
    _require(len(left.shape) == len(right.shape) == 2 and not right.batched)
    (rows, inner), (other, columns) = left.shape, right.shape
    if node.attributes.get("transA", 0):
        _require(not left.batched)
        rows, inner = inner, rows
    if node.attributes.get("transB", 0):
        other, columns = columns, other
    output = Tensor((rows, columns), left.batched)
    _require(inner == other)
    _require(all(_broadcast_pair(output, bias) == output for bias in node.inputs[2:]))
    return Cost(output, output.elements * inner)


def _conv(node: Node) -> Cost:
    tensor, weight = node.inputs[:2]
    _require(len(tensor.shape) == len(weight.shape) == 4 and not weight.batched)
    (batch, channels, *size), (outputs, inputs, *kernel) = tensor.shape, weight.shape
    pads, strides = node.attributes["pads"], node.attributes["strides"]
    dilations, group = node.attributes["dilations"], node.attributes["group"]
    _require(len(strides) == len(dilations) == 2 and len(pads) == 4)
    _require(min(pads) >= 0 and max(pads) < max(kernel))
    _require(min(*strides, *dilations, group) >= 1)
    _require(channels == inputs * group and outputs % group == 0)
    _require(node.attributes["kernel_shape"] in ([], kernel))
    _require(all(bias == Tensor((outputs,)) for bias in node.inputs[2:]))
    positions = [
        (size[i] + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i in (0, 1)  # the axes of the image
    ]
    # onnxruntime copies the input patches of an image to a matrix (im2col) for each group. This is
    # the number of elements of one such matrix.
    patches = inputs * math.prod(kernel) * math.prod(positions)
    output = Tensor((batch, outputs, *positions), tensor.batched)
    images = Tensor((batch,), tensor.batched).elements
    return Cost(output, images * outputs * patches, group * patches)


def _reshape(node: Node) -> Cost:
    (old, batched), new = node.inputs[0], node.constant
    if new is None:
        raise MisfitError
    _require(new.count(-1) <= 1 and not (0 in new and node.attributes["allowzero"]))
    _require(not batched or (len(new) > 0 and new[0] in (-1, 0)))  # the batch stays the first axis
    _require(all(size != 0 or axis < len(old) for axis, size in enumerate(new)))
    shape = [old[axis] if size == 0 else size for axis, size in enumerate(new)]
    _require(all(size == -1 or size >= 1 for size in shape))
    known = math.prod(size for size in shape if size != -1)
    shape = [math.prod(old) // known if size == -1 else size for size in shape]
    _require(math.prod(shape) == math.prod(old))
    return Cost(Tensor(tuple(shape), batched))


def _transpose(node: Node) -> Cost:
    (shape, batched), order = node.inputs[0], node.attributes["perm"]
    _require(sorted(order) == list(range(len(shape))) and not (batched and order[0] != 0))
    return Cost(Tensor(tuple(shape[axis] for axis in order), batched))


def _depth_to_space(node: Node) -> Cost:
    tensor, side = node.inputs[0], node.attributes["blocksize"]
    _require(len(tensor.shape) == 4 and side >= 1)
    batch, channels, height, width = tensor.shape
    _require(channels % side**2 == 0)
    shape = batch, channels // side**2, height * side, width * side
    return Cost(Tensor(shape, tensor.batched))


RULES: dict[str, Callable[[Node], Cost]] = {
    "broadcast": _broadcast,
    "cast": _cast,
    "clip": _clip,
    "conv": _conv,
    "depth_to_space": _depth_to_space,
    "elementwise": _elementwise,
    "gather": _gather,
    "gemm": _gemm,
    "quantize": _quantize,
    "reshape": _reshape,
    "transpose": _transpose,
}
