"""Convert labels, given as class indices or class names, to the indices that a model takes."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.errors import InputError, is_callers, suppress_own

Labels: TypeAlias = int | str | Sequence[int] | Sequence[str] | NDArray[Any]
MAX_CHOICES = 30  # class names that a message lists
EXPECTED = "give a one-dimensional sequence of whole numbers or of class names"


def parse_labels(labels: Labels, class_names: Sequence[str]) -> NDArray[np.int64]:
    """Return class indices, int64 [n], each 0 <= label < classes.

    Args:
        labels: a class index, a class name, or a one-dimensional sequence of only indices or only
            names, such as an array of integers, strings or objects.
        class_names: names of the model's classes, by index.

    Raises:
        InputError: the labels have another type or shape, mix indices and names, or are not classes
            of the model.
    """
    try:
        values = np.atleast_1d(np.asarray(labels))
    except ValueError as error:
        if is_callers(error):
            raise
        raise InputError(f"labels have a ragged shape; {EXPECTED}") from error
    if values.size == 0:
        values = values.astype(np.int64)
    elif values.ndim == 1 and values.dtype.kind in "UTO":  # T is NumPy's StringDType
        items = _as_list(labels, values)
        if any(isinstance(item, str) for item in items):
            return _parse_names(items, class_names)
        values = _to_integers(items, values)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InputError(
            f"labels have dtype {values.dtype} and {values.ndim} dimensions; {EXPECTED}"
        )
    invalid = values[(values < 0) | (values >= len(class_names))]
    if invalid.size:
        raise InputError(
            f"the model has no label {invalid[0]}; choose from 0 to {len(class_names) - 1}"
        )
    return np.ascontiguousarray(values, np.int64)


def single_label(labels: Labels, classes: int) -> int | None:
    """Return the label of a valid int or one-element list; None for all other labels.

    This fast path avoids numpy: parse_labels() takes half as long as generating the image.
    """
    label = labels[0] if type(labels) is list and len(labels) == 1 else labels
    return label if type(label) is int and 0 <= label < classes else None


def label_batches(
    labels: Sequence[int] | NDArray[np.int64], part: range, size: int
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the labels of a run in batches, each with the position of its first image.

    Args:
        labels: labels of the run, repeated in order: position j has labels[j % len(labels)].
        part: positions to yield, with step 1.
        size: images of one batch, 1 or more; the last one may be smaller.
    """
    indices = np.asarray(labels, np.int64)
    for position in range(part.start, part.stop, size):
        offset = position % len(indices)
        numbers = np.arange(offset, offset + min(size, part.stop - position))
        yield position, indices[numbers % len(indices)]


def _as_list(labels: Any, values: NDArray[Any]) -> list[Any]:
    """Return the labels as objects; NumPy would drop the null characters at the end of a name."""
    if isinstance(labels, np.ndarray):
        return list(values.tolist())
    return list(labels) if np.ndim(labels) else [labels]


def _to_integers(items: list[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return objects as integers if all are integers, otherwise the values as they are."""
    if all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in items):
        with suppress_own(OverflowError):
            return np.array(items, np.int64)
    return values


def _find_label(name: str, class_names: Sequence[str]) -> int:
    """Return the index of a class by its name: an exact match, otherwise an equivalent one.

    Equivalent are first the names that Unicode shows alike, such as é in one or in two characters,
    then those that also differ in upper and lower case (Unicode Standard, D145).
    """
    if name in class_names:
        return class_names.index(name)
    choices = class_names
    for key in (_normalize, _fold):
        wanted = key(name)
        matches = [label for label, each in enumerate(class_names) if key(each) == wanted]
        if len(matches) == 1:
            return matches[0]
        choices = [class_names[label] for label in matches] or choices
    shown = [repr(each) for each in choices[:MAX_CHOICES]]
    if len(choices) > MAX_CHOICES:
        shown.append(f"... ({len(choices)} classes)")
    raise InputError(f"the model has no class {name!r}; choose from {', '.join(shown)}")


def _normalize(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFD", name)


def _fold(name: str) -> str:
    return _normalize(_normalize(name).casefold())


def find_labels(names: Sequence[str], class_names: Sequence[str], *, by_digit: bool) -> list[int]:
    """Return the labels of class names from the command line, or all labels if there are none.

    With by_digit, the names come from --digit or --digits, and the error for a missing class
    suggests --label.
    """
    if not names:
        return list(range(len(class_names)))
    try:
        return [_find_label(name, class_names) for name in names]
    except InputError as error:
        raise InputError(f"{error}, with --label" if by_digit else str(error)) from error


def _parse_names(names: list[Any], class_names: Sequence[str]) -> NDArray[np.int64]:
    if not all(isinstance(name, str) for name in names):  # np.asarray turned the numbers into text
        raise InputError(f"labels mix names and numbers; {EXPECTED}")
    plain = [str(name) for name in names]  # messages would show the type numpy.str_
    label_of = {name: _find_label(name, class_names) for name in set(plain)}
    return np.array([label_of[name] for name in plain], np.int64)
