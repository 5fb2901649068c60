"""The parts of a node: its attributes, and the types of its inputs.

web/src/nodes.js is the same for the web page.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from cgan_runtime.model_file.messages import message
from cgan_runtime.model_file.protobuf import Message
from cgan_runtime.model_file.validation.rules import (
    ATTRIBUTE_KINDS,
    BYTES,
    MAX_AXES,
    TYPE_NAMES,
    VARIABLES,
    Operator,
)
from cgan_runtime.model_file.validation.symbolic import Shape, Tensor

MAX_SHOWN = 40  # characters of a name in a message
_VALUE_FIELDS = [field for field, _ in ATTRIBUTE_KINDS.values()]


class InvalidGraphError(Exception):
    """The graph is not one that cgan-export writes; the text says why."""


class UnsupportedError(Exception):
    """The network cannot follow the contract; the text says why."""


class Constant(NamedTuple):
    """The tensor of an attribute."""

    tensor: Tensor
    type: int


def reject(name: str, /, **values: object) -> NoReturn:
    """Raise an InvalidGraphError with a message."""
    raise InvalidGraphError(message(name, **values))


def quoted(text: str) -> str:
    """Return a name for a message, not too long."""
    return repr(text)[:MAX_SHOWN]


def check_shape(name: str, shape: Shape) -> None:
    """Reject a tensor with too many axes, or without elements."""
    if len(shape) > MAX_AXES or min(shape, default=1) < 1:
        shown = "[{}]".format(", ".join(map(str, shape[: MAX_AXES + 1])))
        reject("shape", name=quoted(name), shape=shown)


def _read_constant(tensor: Message, kind: str, attribute: str) -> Constant:
    """Return the tensor of an attribute, whose number of bytes must match its shape."""
    shape, type_number = tuple(tensor[1]), tensor.get(2, 0)
    check_shape(attribute, shape)
    start, end = tensor.get(9, (0, 0))
    if end - start != BYTES.get(type_number, 0) * Tensor(shape).elements or start == end:
        reject("attribute value", operator=kind, attribute=quoted(attribute))
    return Constant(Tensor(shape), type_number)


def read_attributes(entries: list[Message], kind: str, operator: Operator) -> dict[str, Any]:
    """Return the values of an operator's attributes by name, with the defaults of absent ones."""
    values = {name: each.default for name, each in operator.attributes.items()}
    seen: set[str] = set()
    for entry in entries:
        name = entry.get(1, "")
        if name not in values or name in seen:
            reject("attribute", operator=kind, attribute=quoted(name))
        seen.add(name)
        expected, _, choices = operator.attributes[name]
        field, number = ATTRIBUTE_KINDS[expected]
        given = {each for each in _VALUE_FIELDS if entry.get(each, []) != []}
        is_empty = expected == "ints" and not given
        value = entry[field] if field in given or is_empty else None
        if value is None or len(given) > 1 or entry.get(20) != number:
            reject("attribute value", operator=kind, attribute=quoted(name))
        if choices and value not in choices:
            reject("attribute value", operator=kind, attribute=quoted(name))
        values[name] = _read_constant(value, kind, name) if expected == "tensor" else value
    for name, value in values.items():
        if value is None:
            reject("missing attribute", operator=kind, attribute=quoted(name))
    return values


def variables_of(operator: Operator, count: int) -> str | None:
    """Return the type variable of each input, or None if there are too few or too many."""
    variables = operator.inputs
    if operator.variadic:
        variables += variables[-1:] * (count - len(variables))
    return variables[:count] if operator.required <= count <= len(variables) else None


def check_types(
    kind: str, operator: Operator, variables: str, inputs: Sequence[int | None]
) -> dict[str, int]:
    """Return the value of each type variable; reject inputs of another type."""
    type_of: dict[str, int] = {}
    variable_types = VARIABLES | {"T": operator.types}
    for variable, actual in zip(variables, inputs, strict=True):
        if actual is None:  # an optional input
            continue
        allowed = variable_types[variable]
        if actual not in allowed or type_of.setdefault(variable, actual) != actual:
            reject("input type", operator=kind, type=TYPE_NAMES[actual])
    return {name: types[0] for name, types in variable_types.items()} | type_of
