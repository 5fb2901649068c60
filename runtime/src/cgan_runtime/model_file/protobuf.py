"""A small protobuf reader, to look into an ONNX file before another library opens it.

A schema lists the fields that a message may have. Singular fields that occur twice, wrong
wire types and lengths beyond the end are rejected. Other readers tolerate some of these, and might
interpret the same bytes differently (encoding: https://protobuf.dev/programming-guides/encoding/).
"""

from typing import Any, NamedTuple, NoReturn, TypeAlias

from cgan_runtime.model_file.messages import message as text_of

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types
MAX_FIELDS = 2**17  # of a message and its submessages: a small file can hold very many

Message: TypeAlias = dict[int, Any]  # values, or lists of values for repeated fields, by number


class Field(NamedTuple):
    """One field of a schema."""

    kind: Any  # int, float (32 bits), str, bytes, or the schema of a message
    repeated: bool = False


Schema: TypeAlias = dict[int, Field]


class ProtobufError(ValueError):
    """The bytes are not a message of the schema; the text says why."""


def _reject(name: str, /, **values: object) -> NoReturn:
    raise ProtobufError(text_of(name, **values))


def read_message(content: bytes, schema: Schema, *, strict: bool = True) -> Message:
    """Read a whole message; if strict, reject fields that the schema does not list.

    Returns:
        The fields by number. A value is an int (signed, 64 bits), a str, the position (start, end)
        of a bytes field, the four bytes of a float, or a message. A repeated field is a list of
        values, which may be empty. An absent singular field is not in the dict.

    Raises:
        ProtobufError: the message is truncated or malformed, or does not match the schema.
    """
    return _Reader(content, strict).message(schema, 0, len(content))


class _Reader:
    def __init__(self, content: bytes, strict: bool) -> None:
        self._content, self._strict, self._fields_left = content, strict, MAX_FIELDS

    def message(self, schema: Schema, at: int, end: int) -> Message:
        """Read the message between two positions."""
        message: Message = {number: [] for number, field in schema.items() if field.repeated}
        while at < end:
            number, wire, value, at = self._field(at, end)
            field = schema.get(number)
            if field is None:
                if self._strict or not number:
                    _reject("unknown field", number=number)
                continue
            kind, repeated = field
            if wire == LENGTH and kind is int and repeated:
                message[number] += self._packed(*value)
                continue
            if wire != (VARINT if kind is int else FIXED32 if kind is float else LENGTH):
                _reject("unexpected wire type", wire=wire, number=number)
            if kind is str:
                value = self._text(*value)
            elif isinstance(kind, dict):
                value = self.message(kind, *value)
            if repeated:
                message[number].append(value)
            elif number in message:
                _reject("duplicate field", number=number)
            else:
                message[number] = value
        return message

    def _field(self, at: int, end: int) -> tuple[int, int, Any, int]:
        """Return a field's number, wire type and value, and the position after it."""
        self._count(1)
        key, at = self._varint(at, end)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = self._int64(at, end)
            return number, wire, value, at
        if wire == LENGTH:
            size, at = self._varint(at, end)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            _reject("unknown wire type", wire=wire)
        start, at = at, at + size
        if at > end:
            _reject("truncated")
        return number, wire, (start, at) if wire == LENGTH else self._content[start:at], at

    def _text(self, start: int, end: int) -> str:
        try:
            return self._content[start:end].decode()
        except UnicodeDecodeError as error:
            raise ProtobufError(text_of("not UTF-8")) from error

    def _packed(self, at: int, end: int) -> list[int]:
        values = []
        self._count(end - at)
        while at < end:
            value, at = self._int64(at, end)
            values.append(value)
        return values

    def _count(self, fields: int) -> None:
        self._fields_left -= fields
        if self._fields_left < 0:
            _reject("too many fields", limit=f"{MAX_FIELDS:,}")

    def _int64(self, at: int, end: int) -> tuple[int, int]:
        """Return a signed number and the position after it."""
        value, at = self._varint(at, end)
        return value - 2**64 if value >= 2**63 else value, at

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """Return an unsigned 64-bit number and the position after it."""
        value = 0
        for shift in range(0, 70, 7):  # at most ten bytes
            if at >= end:
                _reject("truncated")
            byte = self._content[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128 and value < 2**64:
                return value, at
        _reject("too long number")
