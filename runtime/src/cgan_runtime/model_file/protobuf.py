"""A small protobuf reader, to look into an ONNX file before another library opens it.

A schema lists the fields that a message may have. Repeated singular fields, wrong wire types and
lengths beyond the end are rejected. Other readers tolerate some of these, and could otherwise find
something else in the same bytes (encoding: https://protobuf.dev/programming-guides/encoding/).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types
MAX_VARINT_BYTES = 10
MAX_FIELDS = 2**17  # of a message and its submessages: a small file can hold very many

Message: TypeAlias = dict[int, Any]  # values, or lists of values for repeated fields, by number


class Field(NamedTuple):
    """One field of a schema."""

    kind: Any  # VARINT, FIXED32, str, bytes, or the schema of a message
    repeated: bool = False


Schema: TypeAlias = Mapping[int, Field]


class ProtobufError(ValueError):
    """The bytes are not a message of the schema; the text says why."""


def read_message(content: bytes, schema: Schema, *, strict: bool = True) -> Message:
    """Read a whole message; if strict, reject fields that the schema does not list.

    Returns:
        The fields by number. A value is an int (unsigned, 64 bits), a str, the position
        (start, end) of a bytes field, the four bytes of a FIXED32, or a message. A repeated field
        is a list of values, which may be empty. An absent singular field is not in the dict.

    Raises:
        ProtobufError: the message is truncated or malformed, or does not match the schema.
    """
    return _Reader(content, strict).message(0, len(content), schema)


def signed(value: int) -> int:
    """Return the int64 that an unsigned varint represents."""
    return value - 2**64 if value >= 2**63 else value


class _Reader:
    def __init__(self, content: bytes, strict: bool) -> None:
        self._content, self._strict, self._fields_left = content, strict, MAX_FIELDS

    def message(self, at: int, end: int, schema: Schema) -> Message:
        """Read the message between two positions."""
        message: Message = {number: [] for number, field in schema.items() if field.repeated}
        while at < end:
            number, wire, start, at, value = self._field(at, end)
            field = schema.get(number)
            if field is None:
                if self._strict or not number:
                    raise ProtobufError(f"field {number}")
                continue
            kind, repeated = field
            if wire == LENGTH and kind == VARINT and repeated:
                message[number] += self._packed(start, at)
                continue
            if wire != (kind if isinstance(kind, int) else LENGTH):
                raise ProtobufError(f"wire type {wire} of field {number}")
            if wire == LENGTH:
                value = self._value(start, at, kind)
            if repeated:
                message[number].append(value)
            elif number in message:
                raise ProtobufError(f"field {number} twice")
            else:
                message[number] = value
        return message

    def _field(self, at: int, end: int) -> tuple[int, int, int, int, Any]:
        """Return a field's number, wire type, start, end, and its value unless it is a LENGTH."""
        self._count(1)
        content, start = self._content, at
        value: Any = None
        key = content[at]  # a call of _varint() would take twice the time
        at += 1
        if key > 127:
            key, at = _varint(content, at - 1, end)
        wire = key & 7
        if wire == VARINT:
            value, at = _varint(content, at, end)
        elif wire == LENGTH:
            length, start = _varint(content, at, end)
            at = start + length
        elif wire in (FIXED32, FIXED64):
            start, at = at, at + (4 if wire == FIXED32 else 8)
            value = content[start:at]
        else:
            raise ProtobufError(f"wire type {wire}")
        if at > end:
            raise ProtobufError("truncated")
        return key >> 3, wire, start, at, value

    def _value(self, start: int, end: int, kind: Any) -> Any:
        if kind is str:
            try:
                return self._content[start:end].decode()
            except UnicodeDecodeError as error:
                raise ProtobufError("text that is not UTF-8") from error
        return (start, end) if kind is bytes else self.message(start, end, kind)

    def _packed(self, at: int, end: int) -> list[int]:
        values = []
        self._count(end - at)
        while at < end:
            value, at = _varint(self._content, at, end)
            values.append(value)
        return values

    def _count(self, fields: int) -> None:
        self._fields_left -= fields
        if self._fields_left < 0:
            raise ProtobufError(f"more than {MAX_FIELDS:,} fields")


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """Return an unsigned 64-bit number and the position after it."""
    if at < end and content[at] < 128:  # the most frequent case, one byte
        return content[at], at + 1
    value = 0
    for shift in range(0, 7 * MAX_VARINT_BYTES, 7):
        if at >= end:
            raise ProtobufError("truncated")
        byte = content[at]
        at += 1
        if byte < 128:
            value |= byte << shift
            if value >= 2**64:
                break
            return value, at
        value |= (byte & 127) << shift
    raise ProtobufError("a number of more than 64 bits")
