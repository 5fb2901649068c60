"""Tensors and numbers that depend on the batch size, which stays symbolic during validation.

The batch is a factor of one axis of a tensor, and each of its elements belongs to one image. So a
shape that is inferred here holds for every batch size, which no comparison at chosen batch sizes
ensures. web/src/symbolic.js is the same for the web page.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, NoReturn, TypeAlias

Shape: TypeAlias = tuple[int, ...]
# A tensor with a known content has at most this number of elements.
MAX_KNOWN_VALUES = 64


class MisfitError(Exception):
    """A node cannot run, or is not allowed. The text is the name of a message."""


def misfit(name: str = "misfit") -> NoReturn:
    """Raise a MisfitError."""
    raise MisfitError(name)


def require(condition: bool, name: str = "misfit") -> None:
    """Raise a MisfitError unless a condition holds."""
    if not condition:
        raise MisfitError(name)


def require_apart(condition: bool) -> None:
    """Raise a MisfitError unless the images of a batch stay apart."""
    require(condition, "mixed images")


class Size(NamedTuple):
    """A whole number that depends on the batch size: fixed + each * batch."""

    fixed: int
    each: int = 0

    @property
    def number(self) -> int:
        """The value of a number that does not depend on the batch size."""
        require_apart(self.each == 0)
        return self.fixed


class Tensor(NamedTuple):
    """A tensor's shape for a batch of one image, and the position of the batch in it.

    Element i of the axis is, for a batch of n images, i // (size // before) parts before the
    batch, the image, and the rest: in row-major order the axis is [before, n, size // before].
    """

    shape: Shape
    axis: int | None = None  # None: the tensor is the same for every batch
    before: int = 1

    @property
    def batched(self) -> bool:
        """Whether the elements belong to images."""
        return self.axis is not None

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
            Size(0, size) if axis == self.axis else Size(size)
            for axis, size in enumerate(self.shape)
        )

    def shape_for(self, images: int) -> Shape:
        """Return the shape for a batch."""
        return tuple(size.fixed + size.each * images for size in self.sizes)

    def with_shape(self, shape: Iterable[int]) -> "Tensor":
        """Return a tensor with other sizes along axes that do not contain the batch."""
        return Tensor(tuple(shape), self.axis, self.before)

    def without(self, axes: Sequence[int]) -> "Tensor":
        """Return a tensor without some axes, none of which contains the batch."""
        require_apart(self.axis not in axes)
        shape = tuple(size for axis, size in enumerate(self.shape) if axis not in axes)
        if self.axis is None:
            return Tensor(shape)
        return Tensor(shape, self.axis - sum(axis < self.axis for axis in axes), self.before)

    def replaced(self, axis: int, size: int) -> "Tensor":
        """Return a tensor with another size along an axis that does not contain the batch."""
        require_apart(axis != self.axis)
        return self.with_shape((*self.shape[:axis], size, *self.shape[axis + 1 :]))


class Node(NamedTuple):
    """The properties of a node that determine the shapes of its outputs, and its cost."""

    inputs: Sequence[Any]  # Tensor, or None for an optional input that is absent
    attributes: dict[str, Any]  # by name, with defaults: int, list of int, str, or Constant
    values: Sequence[Any]  # of each input: list of Size or float, or None if they are not known

    @property
    def tensors(self) -> list[Tensor]:
        """The inputs that are present."""
        return [each for each in self.inputs if each is not None]

    def has(self, index: int) -> bool:
        """Whether an optional input is present."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def known(self, index: int) -> Any:
        """Return the content of an input that determines the output's shape."""
        if not self.has(index) or self.values[index] is None:
            misfit("unknown shape")
        return self.values[index]

    def numbers(self, index: int) -> list[int]:
        """Return the content of an input, none of which may depend on the batch size."""
        return [size.number for size in self.known(index)]

    def axis(self, rank: int) -> int:
        """Return the attribute axis, counted from 0."""
        return axis_of(self.attributes["axis"], rank)


class Cost(NamedTuple):
    """What a node returns and needs, for a batch of one image."""

    outputs: tuple[Tensor, ...]
    multiplications: int = 0
    temporary: int = 0  # elements that grow with the batch
    scratch: int = 0  # elements of a buffer that is used for one image after another


def cost(output: Tensor, multiplications: int = 0, temporary: int = 0, scratch: int = 0) -> Cost:
    """Return the cost of a node with one output."""
    return Cost((output,), multiplications, temporary, scratch)


def axis_of(axis: int, rank: int) -> int:
    """Return an axis, counted from 0, of an axis that may be counted from the end."""
    require(-rank <= axis < rank)
    return axis % rank


def axes_of(axes: Iterable[int], rank: int) -> list[int]:
    """Return different axes, counted from 0."""
    result = [axis_of(axis, rank) for axis in axes]
    require(len(set(result)) == len(result))
    return result


def from_sizes(sizes: Sequence[Size]) -> Tensor:
    """Return the tensor with these sizes; one of them may be a multiple of the batch size."""
    axes = [axis for axis, size in enumerate(sizes) if size.each]
    require_apart(len(axes) <= 1 and all(sizes[axis].fixed == 0 for axis in axes))
    shape = tuple(size.each or size.fixed for size in sizes)
    require(all(size >= 1 for size in shape))
    return Tensor(shape, axes[0] if axes else None)


def broadcast(tensors: Sequence[Tensor]) -> Tensor:
    """Return the shape to which all tensors broadcast, as numpy does."""
    rank = max(each.rank for each in tensors)
    batches = {
        (rank - each.rank + each.axis, each.before, each.shape[each.axis])
        for each in tensors
        if each.axis is not None
    }
    require_apart(len(batches) <= 1)
    columns = zip_longest(*(reversed(each.shape) for each in tensors), fillvalue=1)
    shape = [max(column) for column in columns][::-1]
    axis, before, _ = next(iter(batches), (None, 1, 1))
    for each in tensors:
        for own, size in enumerate(each.shape):
            index = rank - each.rank + own
            if index == axis:
                require_apart(each.axis is not None or size == 1)
            else:
                require(size in (1, shape[index]))
    return Tensor(tuple(shape), axis, before)


def with_layout(tensor: Tensor, shape: Sequence[int], axis: int | None) -> Tensor:
    """Return a tensor with the same elements in row-major order, and with its batch in an axis."""
    require_apart(tensor.batched == (axis is not None))
    require(math.prod(shape) == tensor.elements)
    if tensor.axis is None or axis is None:
        return Tensor(tuple(shape))
    outer = math.prod(tensor.shape[: tensor.axis]) * tensor.before
    before, rest = divmod(outer, math.prod(shape[:axis]))
    require_apart(rest == 0 and before >= 1 and shape[axis] % before == 0)
    return Tensor(tuple(shape), axis, before)
