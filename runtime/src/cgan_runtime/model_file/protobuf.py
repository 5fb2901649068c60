"""A small protobuf reader, which reads an ONNX file before another library opens it.

A schema lists the fields that a message may have. The reader rejects singular fields that occur
twice, wrong wire types and lengths beyond the end. Other readers tolerate some of these, and might
interpret the same bytes differently (encoding: https://protobuf.dev/programming-guides/encoding/).
web/src/model/protobuf.js is a port of this module; change both.
"""

from typing import Any, NamedTuple, NoReturn, TypeAlias

from cgan_runtime.model_file.messages import error_message

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types
MAX_FIELDS = 2**17  # largest number of fields in a file, because a small file can hold millions

Message: TypeAlias = dict[str, Any]  # by field name: a value, or a list for a repeated field


class Field(NamedTuple):
    """One field of a schema."""

    name: str
    kind: Any  # int, float (32 bits), str, bytes, or the schema of a message
    repeated: bool = False


Schema: TypeAlias = dict[int, Field]  # by field number


class ProtobufError(ValueError):
    """The bytes are not a message of the schema; str(error) says why."""


def _reject(name: str, /, **values: object) -> NoReturn:
    raise ProtobufError(error_message(name, **values))


def read_message(content: bytes, schema: Schema, *, strict: bool = True) -> Message:
    """Read a whole message; if strict, reject fields that the schema does not list.

    Returns:
        The fields by name. A value is an int (signed, 64 bits), a str, the position (start, end)
        of a bytes field, the four bytes of a float, or a message. A repeated field is a list of
        values, which may be empty. An absent singular field is not in the dict.

    Raises:
        ProtobufError: the message is truncated or malformed, or does not match the schema.
    """
    return _Reader(content, strict).read_fields(schema, 0, len(content))


class _Reader:
    def __init__(self, content: bytes, strict: bool) -> None:
        self._content, self._strict, self._fields_left = content, strict, MAX_FIELDS

    def read_fields(self, schema: Schema, at: int, end: int) -> Message:
        """Read the fields of the message between two positions."""
        fields: Message = {name: [] for name, _, repeated in schema.values() if repeated}
        while at < end:
            number, wire, value, at = self._field(at, end)
            field = schema.get(number)
            if field is None:
                if self._strict or not number:
                    _reject("unknown field", number=number)
                continue
            name, kind, repeated = field
            if wire == LENGTH and kind is int and repeated:
                fields[name] += self._packed(*value)
                continue
            if wire != (VARINT if kind is int else FIXED32 if kind is float else LENGTH):
                _reject("unexpected wire type", wire=wire, number=number)
            if kind is str:
                value = self._text(*value)
            elif isinstance(kind, dict):
                value = self.read_fields(kind, *value)
            if repeated:
                fields[name].append(value)
            elif name in fields:
                _reject("duplicate field", number=number)
            else:
                fields[name] = value
        return fields

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
            raise ProtobufError(error_message("not UTF-8")) from error

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
        _reject("number too long")
