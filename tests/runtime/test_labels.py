"""Labels: numbers in any form, or the names of the model's classes."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cgan_runtime.errors import InputError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.model_file.contract import ModelInfo

SHAPE = (1, 12, 9)  # the tiny model's, which no constant of the runtime knows


@pytest.mark.parametrize(
    ("labels", "count"),
    [
        (3, 1),
        (np.int64(3), 1),
        (np.array(3), 1),
        ([3], 1),
        ([3, 0, 9], 3),
        ((3, 0, 9), 3),
        (range(10), 10),
        ([np.int8(3), np.int64(4)], 2),
        ([], 0),
        ((), 0),
        (np.array([], np.int32), 0),
    ],
)
def test_labels_of_every_kind(generator: ImageGenerator, labels: Any, count: int) -> None:
    images = generator.generate(labels, seed=0)
    assert images.shape == (count, *SHAPE)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">i8"])
def test_labels_of_every_integer_type(generator: ImageGenerator, dtype: str) -> None:
    labels = np.array([3, 0, 9, 9], dtype)
    wanted = generator.generate([3, 0, 9, 9], seed=5)
    np.testing.assert_array_equal(generator.generate(labels, seed=5), wanted)
    assert labels.tolist() == [3, 0, 9, 9]


def test_labels_that_lie_scattered_or_locked(generator: ImageGenerator) -> None:
    labels = np.arange(20, dtype=np.int64)[::-2] // 2
    labels.setflags(write=False)
    wanted = generator.generate(labels.tolist(), seed=5)
    np.testing.assert_array_equal(generator.generate(labels, seed=5), wanted)


@pytest.mark.parametrize("labels", [10, -1, [3, 10], [-1, 3], 2**40, np.array([2**64 - 1], "u8")])
def test_a_label_that_the_model_lacks(generator: ImageGenerator, labels: Any) -> None:
    with pytest.raises(InputError, match=r"the model has no label .*; choose from 0 to 9$"):
        generator.generate(labels, seed=0)


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
    ],
    ids=repr,
)
def test_what_is_no_row_of_whole_numbers_or_names(generator: ImageGenerator, labels: Any) -> None:
    with pytest.raises(InputError, match="give whole numbers in a row") as caught:
        generator.generate(labels, seed=0)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


NAMES = ("T-shirt/top", "Trouser", "a", "A", "b", "Straße", "+", "Coat", "7", "Ankle boot")


@pytest.fixture(scope="session")
def named(
    make_model: Callable[..., Path], info: ModelInfo, tmp_path_factory: pytest.TempPathFactory
) -> ImageGenerator:
    """The tiny model with other names for its classes."""
    path = tmp_path_factory.mktemp("named") / "named.onnx"
    make_model(path, dataclasses.replace(info, class_names=NAMES).to_metadata())
    return ImageGenerator(path, "cpu", threads=1)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("Ankle boot", [9]),
        (np.str_("Ankle boot"), [9]),
        (["Ankle boot"], [9]),
        (["Trouser", "Coat", "Trouser"], [1, 7, 1]),
        (("Trouser", "Coat"), [1, 7]),
        (np.array(["Trouser", "Coat"]), [1, 7]),
        ("ankle BOOT", [9]),
        ("STRASSE", [5]),
        (["a", "A", "B"], [2, 3, 4]),
        ("7", [8]),
        (7, [7]),
        (NAMES, range(10)),
    ],
    ids=repr,
)
def test_classes_by_name(named: ImageGenerator, names: Any, labels: Sequence[int]) -> None:
    wanted = named.generate(list(labels), seed=7)
    np.testing.assert_array_equal(named.generate(names, seed=7), wanted)


def test_digits_by_name(generator: ImageGenerator) -> None:
    wanted = generator.generate([2, 0, 2, 6], seed=7)
    np.testing.assert_array_equal(generator.generate(list("2026"), seed=7), wanted)


@pytest.mark.parametrize("labels", ["boot", ["Coat", "boot"], np.array(["boot"])], ids=repr)
def test_a_name_that_the_model_lacks(named: ImageGenerator, labels: Any) -> None:
    with pytest.raises(InputError) as caught:
        named.generate(labels, seed=0)
    names = ", ".join(map(repr, NAMES))
    assert str(caught.value) == f"the model has no class 'boot'; choose from {names}"


def test_a_name_of_several_classes(
    make_model: Callable[..., Path], info: ModelInfo, tmp_path: Path
) -> None:
    names = ("bag", "BAG", *NAMES[2:])
    metadata = dataclasses.replace(info, class_names=names).to_metadata()
    generator = ImageGenerator(make_model(tmp_path / "twice.onnx", metadata), "cpu", threads=1)
    with pytest.raises(InputError, match=r"no class 'Bag'; choose from 'bag', 'BAG'$"):
        generator.generate("Bag", seed=0)


@pytest.mark.parametrize("name", ["", " Coat", "Coat\0", "Coat\n", "\ud800"], ids=repr)
def test_a_name_is_taken_as_it_is(named: ImageGenerator, name: str) -> None:
    for labels in (name, [name], ["Coat", name]):
        with pytest.raises(InputError, match="the model has no class '") as caught:
            named.generate(labels, seed=0)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "labels", [[3, "Coat"], ["Coat", 3], ["Coat", 3.0], [True, "Coat"], ["7", 7]], ids=repr
)
def test_names_and_numbers_mixed(named: ImageGenerator, labels: Any) -> None:
    with pytest.raises(InputError, match="names and numbers mixed; give whole numbers in a row"):
        named.generate(labels, seed=0)
