"""The reader of protobuf messages."""

from contextlib import suppress
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgan_runtime.model_file.protobuf import MAX_FIELDS, Field, ProtobufError, read_message

INNER = {1: Field("number", int), 2: Field("text", str)}
SCHEMA = {
    1: Field("number", int),
    2: Field("text", str),
    3: Field("bytes", bytes),
    4: Field("float", float),
    5: Field("messages", INNER, repeated=True),
    6: Field("numbers", int, repeated=True),
}
EMPTY: dict[str, Any] = {"messages": [], "numbers": []}


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", {}),
        (b"\x08\x05", {"number": 5}),
        (b"\x08" + varint(2**63 - 1), {"number": 2**63 - 1}),
        (b"\x88\x00\x05", {"number": 5}),  # a key with a redundant byte
        (field(2, "é".encode()), {"text": "é"}),
        (field(3, bytes(300)), {"bytes": (3, 303)}),
        (b"\x25abcd", {"float": b"abcd"}),
        (
            field(5, b"\x08\x01") + field(5, field(2, b"x")),
            {"messages": [{"number": 1}, {"text": "x"}]},
        ),
        (b"\x30\x01\x30\x02", {"numbers": [1, 2]}),
        (field(6, b"\x01" + varint(300)) + b"\x30\x02", {"numbers": [1, 300, 2]}),
    ],
)
def test_valid_message_is_read(content: bytes, expected: dict[str, Any]) -> None:
    assert read_message(content, SCHEMA) == EMPTY | expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x08", "truncated"),
        (b"\x08\x80", "truncated"),
        (b"\x12", "truncated"),
        (b"\x12\x05abcd", "truncated"),
        (b"\x12" + varint(2**63), "truncated"),
        (b"\x25abc", "truncated"),
        (field(5, b"\x12\x05abc") + b"more", "truncated"),
        (field(6, b"\x01\x80") + b"\x01", "truncated"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "a number of more than 64 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "a number of more than 64 bits"),
        (b"\x08" + 2**16 * b"\xff", "a number of more than 64 bits"),
        (b"\x08\x05\x08\x05", "field 1 occurs twice"),
        (field(2, b"\xff"), "text that is not UTF-8"),
        (field(2, b"\xed\xa0\x80"), "text that is not UTF-8"),  # a lone surrogate
        (field(1, b"\x05"), "unexpected wire type 2 of field 1"),
        (b"\x10\x05", "unexpected wire type 0 of field 2"),
        (b"\x20\x05", "unexpected wire type 0 of field 4"),
        (field(4, b"abcd"), "unexpected wire type 2 of field 4"),
        (b"\x0b\x0c", "unknown wire type 3"),  # a group
        (b"\x0f", "unknown wire type 7"),
        (b"\x00\x00", "unknown field 0"),
        (field(7, b""), "unknown field 7"),
        (field(5, b"\x18\x01"), "unknown field 3"),
    ],
)
def test_malformed_message_is_rejected(content: bytes, reason: str) -> None:
    with pytest.raises(ProtobufError, match=f"^{reason}$"):
        read_message(content, SCHEMA)


def test_unknown_fields_are_skipped_if_not_strict() -> None:
    unknown = field(7, b"x") + b"\x40\x01" + b"\x4dabcd" + b"\x51abcdefgh"
    assert read_message(unknown + b"\x08\x05", SCHEMA, strict=False) == EMPTY | {"number": 5}
    with pytest.raises(ProtobufError, match="truncated"):
        read_message(unknown + field(7, b"xyz")[:-1], SCHEMA, strict=False)


@pytest.mark.parametrize(
    "content",
    [b"\x30\x01" * MAX_FIELDS, field(6, b"\x01" * MAX_FIELDS), field(5, b"") * MAX_FIELDS],
    ids=["repeated", "packed", "submessages"],
)
@pytest.mark.parametrize("strict", [True, False])
def test_too_many_fields_are_rejected(content: bytes, strict: bool) -> None:
    with pytest.raises(ProtobufError, match="more than 131,072 fields"):
        read_message(content + b"\x30\x01", SCHEMA, strict=strict)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(content: bytes) -> None:
    with suppress(ProtobufError):
        assert set(read_message(content, SCHEMA)) <= {field.name for field in SCHEMA.values()}


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_are_read(value: int) -> None:
    content = onnx.AttributeProto(i=value).SerializeToString()
    assert read_message(content, {3: Field("i", int)})["i"] == value
