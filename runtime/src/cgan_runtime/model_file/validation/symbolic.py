"""Shapes and numbers that depend on the batch size, which stays symbolic during validation.

The size of one axis is a multiple of the batch size, and every element of the tensor belongs to
one image. So the inferred shapes hold for every batch size, which no test of a few batch sizes can
show. web/src/model/validation/symbolic.js is a port of this module; change both.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, TypeAlias

Shape: TypeAlias = tuple[int, ...]
MAX_KNOWN_VALUES = 64  # largest number of elements of a tensor whose values are inferred


class ShapeError(Exception):
    """A node cannot run, or is not allowed; str(error) is a key of MESSAGES."""


def check(condition: bool, name: str = "incompatible") -> None:
    """Raise a ShapeError unless a condition holds."""
    if not condition:
        raise ShapeError(name)


def check_independent(condition: bool) -> None:
    """Raise a ShapeError unless the images of a batch do not influence each other."""
    check(condition, "mixed images")


class Size(NamedTuple):
    """An integer that depends on the batch size: fixed + per_image * batch size."""

    fixed: int
    per_image: int = 0

    @property
    def number(self) -> int:
        """The value of an integer that does not depend on the batch size."""
        check_independent(self.per_image == 0)
        return self.fixed


class Tensor(NamedTuple):
    """Shape of a tensor for a batch of one image, and the place of the batch in it.

    For n images, the size of axis batch_axis is n * shape[batch_axis]. In row-major order, this
    axis consists of [outer, n, shape[batch_axis] // outer] elements, and the middle index is the
    image. An example: [n, 4, 3], transposed and reshaped to [4 * n * 3], is
    Tensor(shape=(12,), batch_axis=0, outer=4).
    """

    shape: Shape
    batch_axis: int | None = None  # None: the tensor does not depend on the batch
    outer: int = 1

    @property
    def batched(self) -> bool:
        """Whether the elements belong to images."""
        return self.batch_axis is not None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def elements(self) -> int:
        """Number of elements for a batch of one image."""
        return math.prod(self.shape)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes of all axes."""
        return tuple(
            Size(0, size) if axis == self.batch_axis else Size(size)
            for axis, size in enumerate(self.shape)
        )

    def shape_for(self, images: int) -> Shape:
        """Return the shape for a batch of several images."""
        return tuple(size.fixed + size.per_image * images for size in self.sizes)

    def has_same_batch(self, other: "Tensor") -> bool:
        """Return whether the batch is at the same place in both tensors."""
        return self.batch_axis == other.batch_axis and self.outer == other.outer

    def with_shape(self, shape: Iterable[int]) -> "Tensor":
        """Return a tensor with different sizes along axes that do not contain the batch."""
        return Tensor(tuple(shape), self.batch_axis, self.outer)

    def without(self, axes: Sequence[int]) -> "Tensor":
        """Return a tensor without some axes, none of which contains the batch."""
        check_independent(self.batch_axis not in axes)
        shape = tuple(size for axis, size in enumerate(self.shape) if axis not in axes)
        if self.batch_axis is None:
            return Tensor(shape)
        removed = sum(axis < self.batch_axis for axis in axes)
        return Tensor(shape, self.batch_axis - removed, self.outer)

    def replaced(self, axis: int, size: int) -> "Tensor":
        """Return a tensor with a different size along an axis that does not contain the batch."""
        check_independent(axis != self.batch_axis)
        return self.with_shape((*self.shape[:axis], size, *self.shape[axis + 1 :]))


class Node(NamedTuple):
    """The properties of a node that determine the shapes of its outputs, and its cost."""

    inputs: Sequence[Any]  # Tensor, or None for an optional input that is absent
    attributes: dict[str, Any]  # by name, with defaults: int, list of int, str, or Constant
    values: Sequence[Any]  # values of each input: list of Size or float; None if unknown

    @property
    def tensors(self) -> list[Tensor]:
        """The inputs that are present."""
        return [tensor for tensor in self.inputs if tensor is not None]

    def has(self, index: int) -> bool:
        """Return whether an optional input is present."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def required_values(self, index: int) -> Any:
        """Return the values of an input; reject unknown values, because a shape depends on them."""
        check(self.has(index) and self.values[index] is not None, "unknown shape")
        return self.values[index]

    def numbers(self, index: int) -> list[int]:
        """Return the values of an input as integers; reject those that depend on the batch size."""
        return [size.number for size in self.required_values(index)]

    def axis(self, rank: int) -> int:
        """Return the attribute axis, counted from 0."""
        return axis_of(self.attributes["axis"], rank)


class NodeResult(NamedTuple):
    """Output shapes of a node and its cost, for a batch of one image."""

    outputs: tuple[Tensor, ...]
    multiplications: int = 0
    temporary_per_image: int = 0  # elements of temporary tensors, whose size grows with the batch
    temporary_fixed: int = 0  # elements of a buffer that serves one image after another


def node_result(
    output: Tensor,
    multiplications: int = 0,
    temporary_per_image: int = 0,
    temporary_fixed: int = 0,
) -> NodeResult:
    """Return the result of a node with one output."""
    return NodeResult((output,), multiplications, temporary_per_image, temporary_fixed)


def axis_of(axis: int, rank: int) -> int:
    """Return an axis counted from 0; a negative one is counted from the end."""
    check(-rank <= axis < rank)
    return axis % rank


def axes_of(axes: Iterable[int], rank: int) -> list[int]:
    """Return axes counted from 0; reject an axis that occurs twice."""
    result = [axis_of(axis, rank) for axis in axes]
    check(len(set(result)) == len(result))
    return result


def from_sizes(sizes: Sequence[Size]) -> Tensor:
    """Return the tensor with these sizes; one of them may be a multiple of the batch size."""
    batch_axes = [axis for axis, size in enumerate(sizes) if size.per_image]
    check_independent(len(batch_axes) <= 1)
    check_independent(all(sizes[axis].fixed == 0 for axis in batch_axes))
    shape = tuple(size.per_image or size.fixed for size in sizes)
    check(all(size >= 1 for size in shape))
    return Tensor(shape, batch_axes[0] if batch_axes else None)


def broadcast(tensors: Sequence[Tensor]) -> Tensor:
    """Return the shape to which all tensors broadcast, as in numpy.

    The batch must be at the same place in all tensors that have one; the other tensors must have
    size 1 there, or fewer axes.
    """
    rank = max(tensor.rank for tensor in tensors)
    batches = {
        (rank - tensor.rank + tensor.batch_axis, tensor.outer, tensor.shape[tensor.batch_axis])
        for tensor in tensors
        if tensor.batch_axis is not None
    }
    check_independent(len(batches) <= 1)
    batch_axis, outer, _ = next(iter(batches), (None, 1, 1))
    # Axes are aligned at the last one. A missing axis counts as one of size 1.
    aligned = zip_longest(*(reversed(tensor.shape) for tensor in tensors), fillvalue=1)
    shape = tuple(max(sizes) for sizes in aligned)[::-1]
    for tensor in tensors:
        for axis, size in enumerate(tensor.shape, rank - tensor.rank):
            if axis == batch_axis:
                check_independent(tensor.batched or size == 1)
            else:
                check(size in (1, shape[axis]))
    return Tensor(shape, batch_axis, outer)


def reshaped(tensor: Tensor, shape: Sequence[int], batch_axis: int | None) -> Tensor:
    """Return a tensor with the same elements in row-major order, and its batch in batch_axis."""
    check_independent(tensor.batched == (batch_axis is not None))
    check(math.prod(shape) == tensor.elements)
    if tensor.batch_axis is None or batch_axis is None:
        return Tensor(tuple(shape))
    # The elements are [before_batch, images, rest] in row-major order, before and after reshaping.
    before_batch = math.prod(tensor.shape[: tensor.batch_axis]) * tensor.outer
    outer, rest = divmod(before_batch, math.prod(shape[:batch_axis]))
    check_independent(rest == 0 and outer >= 1 and shape[batch_axis] % outer == 0)
    return Tensor(tuple(shape), batch_axis, outer)
