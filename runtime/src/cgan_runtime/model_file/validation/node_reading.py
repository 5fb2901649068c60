"""Read a node: its attributes, and the types of its inputs.

web/src/model/validation/node_reading.js is a port of this module; change both.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from cgan_runtime.model_file.messages import error_message, quoted
from cgan_runtime.model_file.protobuf import Message
from cgan_runtime.model_file.validation.rules import (
    ATTRIBUTE_KINDS,
    ELEMENT_BYTES,
    MAX_AXES,
    TYPE_NAMES,
    VARIABLES,
    Operator,
)
from cgan_runtime.model_file.validation.symbolic import Shape, Tensor

_VALUE_FIELDS = [field for field, _ in ATTRIBUTE_KINDS.values()]


class InvalidGraphError(Exception):
    """The graph is not one that cgan-export writes; str(error) says why."""


class UnsupportedError(Exception):
    """The network cannot follow the contract; str(error) says why."""


class Constant(NamedTuple):
    """Shape and type of a tensor attribute, without its values."""

    tensor: Tensor
    type: int


def reject(name: str, /, **values: object) -> NoReturn:
    """Raise an InvalidGraphError with a message of MESSAGES."""
    raise InvalidGraphError(error_message(name, **values))


def check_shape(name: str, shape: Shape) -> None:
    """Reject a tensor with too many axes, or without elements."""
    if len(shape) > MAX_AXES or min(shape, default=1) < 1:
        shown = "[{}]".format(", ".join(map(str, shape[: MAX_AXES + 1])))
        reject("shape", name=quoted(name), shape=shown)


def _read_constant(tensor: Message, operator: str, attribute: str) -> Constant:
    """Return a tensor attribute; reject it if its number of bytes does not match its shape."""
    shape, type_number = tuple(tensor["dims"]), tensor.get("data_type", 0)
    check_shape(attribute, shape)
    start, end = tensor.get("raw_data", (0, 0))
    expected_bytes = ELEMENT_BYTES.get(type_number, 0) * Tensor(shape).elements
    if end - start != expected_bytes or start == end:
        reject("attribute value", operator=operator, attribute=quoted(attribute))
    return Constant(Tensor(shape), type_number)


def read_attributes(entries: list[Message], name: str, operator: Operator) -> dict[str, Any]:
    """Return a node's attributes with the defaults of absent ones; `name` is the operator's."""
    values = {key: attribute.default for key, attribute in operator.attributes.items()}
    seen: set[str] = set()
    for entry in entries:
        key = entry.get("name", "")
        if key not in values or key in seen:
            reject("attribute", operator=name, attribute=quoted(key))
        seen.add(key)
        kind, _, choices = operator.attributes[key]
        field, type_number = ATTRIBUTE_KINDS[kind]
        present = [other for other in _VALUE_FIELDS if entry.get(other, []) != []]
        # Protobuf does not distinguish an empty list from an absent one.
        is_value_present = present == [field] or (kind == "ints" and not present)
        if not is_value_present or entry.get("type") != type_number:
            reject("attribute value", operator=name, attribute=quoted(key))
        value = entry[field]
        if choices and value not in choices:
            reject("attribute value", operator=name, attribute=quoted(key))
        values[key] = _read_constant(value, name, key) if kind == "tensor" else value
    for key, value in values.items():
        if value is None:
            reject("missing attribute", operator=name, attribute=quoted(key))
    return values


def variables_of(operator: Operator, count: int) -> str | None:
    """Return the type variables of `count` inputs, or None if the operator does not allow them."""
    variables = operator.inputs
    if operator.variadic:
        variables += variables[-1:] * (count - len(variables))
    return variables[:count] if operator.required <= count <= len(variables) else None


def infer_types(
    name: str, operator: Operator, variables: str, inputs: Sequence[int | None]
) -> dict[str, int]:
    """Return the type of each type variable; reject inputs whose types are not allowed."""
    type_of: dict[str, int] = {}
    allowed_types = VARIABLES | {"T": operator.types}
    for variable, actual in zip(variables, inputs, strict=True):
        if actual is None:  # an optional input
            continue
        if actual not in allowed_types[variable] or type_of.setdefault(variable, actual) != actual:
            reject("input type", operator=name, type=TYPE_NAMES[actual])
    return {variable: types[0] for variable, types in allowed_types.items()} | type_of
