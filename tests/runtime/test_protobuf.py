from contextlib import suppress
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgan_runtime.model_file.protobuf import (
    FIXED32,
    MOST_FIELDS,
    VARINT,
    Field,
    ProtobufError,
    read,
    signed,
)

INNER = {1: Field(VARINT), 2: Field(str)}
SCHEMA = {
    1: Field(VARINT),
    2: Field(str),
    3: Field(bytes),
    4: Field(FIXED32),
    5: Field(INNER, several=True),
    6: Field(VARINT, several=True),
}
EMPTY: dict[int, Any] = {5: [], 6: []}


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", {}),
        (b"\x08\x05", {1: 5}),
        (b"\x08" + varint(2**64 - 1), {1: 2**64 - 1}),
        (b"\x88\x00\x05", {1: 5}),  # a key in more bytes than it takes
        (field(2, "é".encode()), {2: "é"}),
        (field(3, bytes(300)), {3: (3, 303)}),
        (b"\x25abcd", {4: b"abcd"}),
        (field(5, b"\x08\x01") + field(5, field(2, b"x")), {5: [{1: 1}, {2: "x"}]}),
        (b"\x30\x01\x30\x02", {6: [1, 2]}),
        (field(6, b"\x01" + varint(300)) + b"\x30\x02", {6: [1, 300, 2]}),
    ],
)
def test_what_is_there_is_read(content: bytes, found: dict[int, Any]) -> None:
    assert read(content, SCHEMA) == EMPTY | found


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x08", "cut short"),
        (b"\x08\x80", "cut short"),
        (b"\x12", "cut short"),
        (b"\x12\x05abcd", "cut short"),
        (b"\x12" + varint(2**63), "cut short"),
        (b"\x25abc", "cut short"),
        (field(5, b"\x12\x05abc") + b"more", "cut short"),
        (field(6, b"\x01\x80") + b"\x01", "cut short"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "a number of more than 64 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "a number of more than 64 bits"),
        (b"\x08\x05\x08\x05", "field 1 twice"),
        (field(2, b"\xff"), "a text that is not UTF-8"),
        (field(2, b"\xed\xa0\x80"), "a text that is not UTF-8"),  # half a surrogate pair
        (field(1, b"\x05"), "wire type 2 of field 1"),
        (b"\x10\x05", "wire type 0 of field 2"),
        (b"\x20\x05", "wire type 0 of field 4"),
        (field(4, b"abcd"), "wire type 2 of field 4"),
        (b"\x0b\x0c", "wire type 3"),  # a group
        (b"\x0f", "wire type 7"),
        (b"\x00\x00", "field 0"),
        (field(7, b""), "field 7"),
        (field(5, b"\x18\x01"), "field 3"),
        (b"\x08" + 2**16 * b"\xff", "a number of more than 64 bits"),
    ],
)
def test_what_is_malformed_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ProtobufError, match=f"^{reason}$"):
        read(content, SCHEMA)


def test_other_fields_may_be_passed_over() -> None:
    others = field(7, b"x") + b"\x40\x01" + b"\x4dabcd" + b"\x51abcdefgh"
    assert read(others + b"\x08\x05", SCHEMA, strict=False) == EMPTY | {1: 5}
    with pytest.raises(ProtobufError, match="cut short"):
        read(others + field(7, b"xyz")[:-1], SCHEMA, strict=False)


@pytest.mark.parametrize(
    "content", [b"\x30\x01" * MOST_FIELDS, field(6, b"\x01" * MOST_FIELDS), field(5, b"")]
)
def test_a_million_fields_are_too_many(content: bytes) -> None:
    more = content * (1 if len(content) > 2 else MOST_FIELDS)
    for strict in (True, False):
        with pytest.raises(ProtobufError, match="more than 131,072 fields"):
            read(more + b"\x30\x01", SCHEMA, strict=strict)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(ProtobufError):
        assert set(read(content, SCHEMA)) <= set(SCHEMA)


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers(value: int) -> None:
    written = onnx.AttributeProto(i=value).SerializeToString()
    assert signed(read(written, {3: Field(VARINT)})[3]) == value
