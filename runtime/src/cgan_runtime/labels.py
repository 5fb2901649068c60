"""Labels as people write them, numbers or class names, into the numbers that a model takes."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.errors import InputError

Labels: TypeAlias = int | str | Sequence[int] | Sequence[str] | NDArray[np.integer[Any]]


def parse_labels(labels: Labels, class_names: Sequence[str]) -> NDArray[np.int64]:
    """Return class indices, int64 [n], each 0 <= label < classes.

    Args:
        labels: class indices or class names, one or a one-dimensional sequence of one kind.
        class_names: the model's, one a label.

    Raises:
        InputError: the labels are neither, or both, or the model lacks one of them.
    """
    one = labels[0] if type(labels) is list and len(labels) == 1 else labels
    if type(one) is int and 0 <= one < len(
        class_names
    ):  # half of what a single image costs besides
        return np.array([one], np.int64)
    try:
        wanted = np.atleast_1d(np.asarray(labels))
    except ValueError as error:
        raise InputError(
            "labels have a ragged shape; give whole numbers in a row, or class names"
        ) from error
    if wanted.size == 0:
        wanted = wanted.astype(np.int64)
    if wanted.ndim == 1 and wanted.dtype.kind == "U":
        names = [labels] if isinstance(labels, str) else list(labels)  # type: ignore[arg-type]
        return _of_names(names, class_names)
    if wanted.ndim != 1 or wanted.dtype.kind not in "iu":
        raise InputError(
            f"labels are {wanted.dtype} of {wanted.ndim} dimensions; "
            "give whole numbers in a row, or class names"
        )
    numbers = np.ascontiguousarray(wanted, np.int64)
    # Read without its sign, a number below 0 is a large one: one look finds both ends.
    if np.maximum.reduce(numbers.view(np.uint64), initial=0) >= len(class_names):
        wrong = wanted[(wanted < 0) | (wanted >= len(class_names))]
        raise InputError(
            f"the model has no label {int(wrong[0])}; choose from 0 to {len(class_names) - 1}"
        )
    return numbers


def single_label(labels: Labels, classes: int) -> int | None:
    """Return the one label where it is plain to see; None leaves it to parse_labels()."""
    one = labels[0] if type(labels) is list and len(labels) == 1 else labels
    return one if type(one) is int and 0 <= one < classes else None


def find_label(name: str, class_names: Sequence[str]) -> int:
    """Return the index of a class by its name: the exact one, otherwise in any case.

    Raises:
        InputError: there is no such class, or several that differ in case; it lists them.
    """
    if name in class_names:
        return class_names.index(name)
    folded = name.casefold()
    alike = [label for label, each in enumerate(class_names) if each.casefold() == folded]
    if len(alike) == 1:
        return alike[0]
    choices = [class_names[label] for label in alike] or class_names
    raise InputError(
        f"the model has no class {name!r}; choose from {', '.join(map(repr, choices))}"
    )


def find_labels(
    names: tuple[str, ...], class_names: tuple[str, ...], *, by_digit: bool
) -> list[int]:
    """Return the labels of these names, or of every class where there are none.

    Raises:
        InputError: the model lacks one; digits of a model that draws other things included.
    """
    if not names:
        return list(range(len(class_names)))
    try:
        return [find_label(name, class_names) for name in names]
    except InputError as error:
        raise InputError(f"{error}, with --label" if by_digit else str(error)) from error


def _of_names(names: list[Any], class_names: Sequence[str]) -> NDArray[np.int64]:
    if not all(isinstance(name, str) for name in names):  # numpy writes numbers beside names out
        raise InputError(
            "labels are names and numbers mixed; give whole numbers in a row, or class names"
        )
    plain = [str(name) for name in names]  # of numpy's strings too
    found = {name: find_label(name, class_names) for name in set(plain)}
    return np.array([found[name] for name in plain], np.int64)
