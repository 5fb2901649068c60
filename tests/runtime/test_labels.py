"""Labels: class indices of any integer type, or class names."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cgan_runtime.errors import InputError
from cgan_runtime.labels import parse_labels, single_label

DIGITS = tuple("0123456789")
NAMES = ("T-shirt/top", "Trouser", "a", "A", "b", "Straße", "+", "Coat", "7", "Ankle boot")
INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">i8"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (3, [3]),
        (np.int64(3), [3]),
        (np.array(3), [3]),
        ([3], [3]),
        ([3, 0, 9], [3, 0, 9]),
        ((3, 0, 9), [3, 0, 9]),
        (range(10), list(range(10))),
        ([np.int8(3), np.int64(4)], [3, 4]),
        ([], []),
        ((), []),
        (np.array([], np.int32), []),
        *[(np.array([3, 0, 9, 9], dtype), [3, 0, 9, 9]) for dtype in INTEGERS],
        (np.arange(10, dtype=np.int64)[::-2], [9, 7, 5, 3, 1]),
        (np.array([3, np.int8(9)], object), [3, 9]),
        (pd.Series([3, 9]), [3, 9]),
        (pd.Series([3, 9], dtype="Int64"), [3, 9]),
    ],
    ids=repr,
)
def test_indices_of_any_kind_become_an_int64_array(labels: Any, expected: list[int]) -> None:
    before = np.array(labels)
    if isinstance(labels, np.ndarray):
        labels.setflags(write=False)
    indices = parse_labels(labels, DIGITS)
    assert indices.tolist() == expected
    assert indices.dtype == np.int64
    assert indices.flags.c_contiguous
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("labels", [10, -1, [3, 10], [-1, 3], 2**40, np.array([2**64 - 1], "u8")])
def test_unknown_index_is_rejected(labels: Any) -> None:
    assert single_label(labels, 10) is None
    with pytest.raises(InputError, match=r"the model has no label -?\d+; choose from 0 to 9$"):
        parse_labels(labels, DIGITS)


@pytest.mark.parametrize(
    "labels",
    [
        3.0,
        [3.0, 4.0],
        np.array([3], np.float32),
        [[3, 4], [5, 6]],
        [[]],
        [[3], [4, 5]],
        True,
        [True, False],
        np.array([True]),
        None,
        [None],
        b"3",
        [b"3"],
        ["3", None],
        [["3", "4"], ["5", "6"]],
        [["3"], ["4", "5"]],
        {"3"},
        {3, 4},
        2**70,
        [2**70],
        [3, "7"],
        ["7", 3],
        ["7", 3.0],
        [True, "7"],
        np.array([3, "7"], object),
        np.array(["7", None], object),
        np.array([3, 4.0], object),
        np.array([True], object),
        np.array([2**70], object),
        np.array([["7"]], object),
    ],
    ids=repr,
)
def test_labels_of_another_type_are_rejected(labels: Any) -> None:
    with pytest.raises(InputError, match="; give a one-dimensional sequence of whole") as caught:
        parse_labels(labels, DIGITS)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("Ankle boot", [9]),
        (np.str_("Ankle boot"), [9]),
        (["Ankle boot"], [9]),
        (["Trouser", "Coat", "Trouser"], [1, 7, 1]),
        (("Trouser", "Coat"), [1, 7]),
        (np.array(["Trouser", "Coat"]), [1, 7]),
        (np.array("Coat"), [7]),
        (np.array(["Trouser", "Coat"], object), [1, 7]),
        (pd.Series(["Trouser", "Coat"]), [1, 7]),
        (pd.Series(["Trouser", "Coat"], dtype=object), [1, 7]),
        (pd.Categorical(["Trouser", "Coat"]), [1, 7]),
        ("ankle BOOT", [9]),
        ("STRASSE", [5]),
        (["a", "A", "B"], [2, 3, 4]),
        ("7", [8]),
        (7, [7]),
        (NAMES, list(range(10))),
    ],
    ids=repr,
)
def test_class_names_become_indices(names: Any, expected: Sequence[int]) -> None:
    assert parse_labels(names, NAMES).tolist() == expected


@pytest.mark.parametrize("name", ["boot", "", " Coat", "Coat\0", "Coat\n", "\ud800"], ids=repr)
def test_unknown_class_name_is_rejected(name: str) -> None:
    choices = ", ".join(map(repr, NAMES))
    for labels in (name, [name], ["Coat", name]):
        with pytest.raises(InputError) as caught:
            parse_labels(labels, NAMES)
        assert str(caught.value) == f"the model has no class {name!r}; choose from {choices}"


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="numpy 2.0 or newer has it")
def test_names_of_a_numpy_string_array_become_indices() -> None:
    names = np.array(["Trouser", "Coat"], np.dtypes.StringDType())
    assert parse_labels(names, NAMES).tolist() == [1, 7]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["café", "CAFÉ", "Ångström", "ΐ", "한국", "Straße"])
def test_names_match_in_any_unicode_form(form: Any, name: str) -> None:
    other: Any = "NFD" if form == "NFC" else "NFC"
    classes = [unicodedata.normalize(form, name), "b"]
    assert parse_labels(unicodedata.normalize(other, name), classes).tolist() == [0]
    assert parse_labels([unicodedata.normalize(other, name.swapcase())], classes).tolist() == [0]


def test_names_that_differ_in_case_match_exactly_in_any_unicode_form() -> None:
    classes = [unicodedata.normalize("NFD", name) for name in ("café", "CAFÉ")]
    assert parse_labels("CAFÉ", classes).tolist() == [1]
    with pytest.raises(InputError, match="no class 'Café'; choose from"):
        parse_labels("Café", classes)


def test_message_lists_a_limited_number_of_classes() -> None:
    with pytest.raises(InputError, match=r"'c28', 'c29', \.\.\. \(60000 classes\)$") as caught:
        parse_labels("none", [f"c{number}" for number in range(60_000)])
    assert len(str(caught.value)) < 400


def test_ambiguous_class_name_is_rejected() -> None:
    with pytest.raises(InputError, match=r"no class 'Bag'; choose from 'bag', 'BAG'$"):
        parse_labels("Bag", ("bag", "BAG", *NAMES[2:]))
