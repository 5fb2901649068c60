"""The little of protobuf that it takes to look into an ONNX file before anything opens it.

A message is read by a schema that lists the fields it may have. A field that comes twice, a wrong
wire type and a length beyond the end are refused, so that what is read here is what every other
reader finds (encoding: https://protobuf.dev/programming-guides/encoding/).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types
LONGEST_VARINT = 10  # bytes
MOST_FIELDS = 2**17  # of a message and those in it: a small file can hold a great many

Message: TypeAlias = dict[int, Any]  # by number: a value, or a list of them where several may come


class Field(NamedTuple):
    """What a schema says of a field."""

    kind: Any  # VARINT, FIXED32, str, bytes, or the schema of a message
    several: bool = False


Schema: TypeAlias = Mapping[int, Field]


class ProtobufError(ValueError):
    """The bytes are no such message; says why."""


def read(content: bytes, schema: Schema, *, strict: bool = True) -> Message:
    """Read a whole message.

    Args:
        content: its bytes.
        schema: the fields it may have, by number.
        strict: refuse fields that the schema does not list, instead of passing over them.

    Returns:
        What it holds, by number: an int (unsigned, 64 bits), a str, the place (start, end) of
        bytes, the four bytes of a FIXED32, or a message; a list of these where several may come,
        empty where none does. Another field that is not there is missing.

    Raises:
        ProtobufError: it is cut short or malformed, or holds what the schema does not list.
    """
    return _Reader(content, strict).message(0, len(content), schema)


def signed(value: int) -> int:
    """Return the int64 that a varint stands for."""
    return value - 2**64 if value >= 2**63 else value


class _Reader:
    def __init__(self, content: bytes, strict: bool) -> None:
        self._content, self._strict, self._left = content, strict, MOST_FIELDS

    def message(self, at: int, end: int, schema: Schema) -> Message:
        """Read the message that lies between two places."""
        message: Message = {number: [] for number, field in schema.items() if field.several}
        while at < end:
            number, wire, start, at, value = self._field(at, end)
            field = schema.get(number)
            if field is None:
                if self._strict or not number:
                    raise ProtobufError(f"field {number}")
                continue
            kind, several = field
            if wire == LENGTH and kind == VARINT and several:
                message[number] += self._packed(start, at)
                continue
            if wire != (kind if isinstance(kind, int) else LENGTH):
                raise ProtobufError(f"wire type {wire} of field {number}")
            if wire == LENGTH:
                value = self._value(start, at, kind)
            if several:
                message[number].append(value)
            elif number in message:
                raise ProtobufError(f"field {number} twice")
            else:
                message[number] = value
        return message

    def _field(self, at: int, end: int) -> tuple[int, int, int, int, Any]:
        """Return a field's number and wire type, where it starts and ends, and its own value."""
        self._count(1)
        content, start = self._content, at
        value: Any = None
        key = content[at]  # _varint() would do, in twice the time
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
            raise ProtobufError("cut short")
        return key >> 3, wire, start, at, value

    def _value(self, start: int, end: int, kind: Any) -> Any:
        if kind is str:
            return _text(self._content[start:end])
        return (start, end) if kind is bytes else self.message(start, end, kind)

    def _packed(self, at: int, end: int) -> list[int]:
        values = []
        self._count(end - at)
        while at < end:
            value, at = _varint(self._content, at, end)
            values.append(value)
        return values

    def _count(self, fields: int) -> None:
        self._left -= fields
        if self._left < 0:
            raise ProtobufError(f"more than {MOST_FIELDS:,} fields")


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """Return an unsigned number of 64 bits, and where the next byte is."""
    if at < end and content[at] < 128:  # most are this short
        return content[at], at + 1
    value = 0
    for shift in range(0, 7 * LONGEST_VARINT, 7):
        if at >= end:
            raise ProtobufError("cut short")
        byte = content[at]
        at += 1
        if byte < 128:
            value |= byte << shift
            if value >= 2**64:
                break
            return value, at
        value |= (byte & 127) << shift
    raise ProtobufError("a number of more than 64 bits")


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("a text that is not UTF-8") from error
