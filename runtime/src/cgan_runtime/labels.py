"""Convert labels, which are class indices or class names, to the indices that a model takes."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.errors import InputError, raised_by_user_code, suppress_internal

Labels: TypeAlias = int | str | Sequence[int] | Sequence[str] | NDArray[Any]
MAX_CHOICES = 30  # largest number of class names that a message lists
EXPECTED = "give a one-dimensional sequence of whole numbers or of class names"


def parse_labels(labels: Labels, class_names: Sequence[str]) -> NDArray[np.int64]:
    """Return class indices, int64 [n], 0 <= index < len(class_names).

    Args:
        labels: a class index, a class name, or a one-dimensional sequence of only indices or only
            names, such as an array of integers, strings or objects.
        class_names: names of the model's classes, by index.

    Raises:
        InputError: the labels have an unexpected type or shape, mix indices and names, or are not
            classes of the model.
    """
    try:
        values = np.atleast_1d(np.asarray(labels))
    except ValueError as error:
        if raised_by_user_code(error):
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
    """Return the class index if labels is a valid int or a list with one; None for other labels.

    This function avoids NumPy: parse_labels() would take half as long as generating the image.
    """
    label = labels[0] if type(labels) is list and len(labels) == 1 else labels
    return label if type(label) is int and 0 <= label < classes else None


def label_batches(
    labels: Sequence[int] | NDArray[np.int64], part: range, size: int
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield (position of the first image, labels of a batch).

    Args:
        labels: class indices, which are repeated: position j has labels[j % len(labels)].
        part: positions to yield, with step 1.
        size: number of images per batch, 1 or more; the last batch may have fewer.
    """
    indices = np.asarray(labels, np.int64)
    for position in range(part.start, part.stop, size):
        offset = position % len(indices)
        positions = np.arange(offset, offset + min(size, part.stop - position))
        yield position, indices[positions % len(indices)]


def _as_list(labels: Any, values: NDArray[Any]) -> list[Any]:
    """Return the labels as a list.

    The array `values` is not used for a list of names: NumPy drops null characters at their ends.
    """
    if isinstance(labels, np.ndarray):
        return list(values.tolist())
    return list(labels) if np.ndim(labels) else [labels]


def _to_integers(items: list[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return items as int64 if all of them are integers, otherwise return values unchanged."""
    if all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in items):
        with suppress_internal(OverflowError):
            return np.array(items, np.int64)
    return values


def find_label(name: str, class_names: Sequence[str]) -> int:
    """Return the index of the class with this name.

    The first comparison with exactly one match decides: equal text; equal after normalization (é
    has one or two code points); equal without regard to case (Unicode Standard, D145).
    """
    if name in class_names:
        return class_names.index(name)
    choices = class_names
    for key in (_normalize, _fold):
        wanted = key(name)
        matches = [label for label, other in enumerate(class_names) if key(other) == wanted]
        if len(matches) == 1:
            return matches[0]
        choices = [class_names[label] for label in matches] or choices
    shown = [repr(choice) for choice in choices[:MAX_CHOICES]]
    if len(choices) > MAX_CHOICES:
        shown.append(f"... ({len(choices)} classes)")
    raise InputError(f"the model has no class {name!r}; choose from {', '.join(shown)}")


def _normalize(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFD", name)


def _fold(name: str) -> str:
    return _normalize(_normalize(name).casefold())


def _parse_names(names: list[Any], class_names: Sequence[str]) -> NDArray[np.int64]:
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"labels mix names and numbers; {EXPECTED}")
    plain = [str(name) for name in names]  # repr() of a numpy.str_ would show its type in messages
    label_of = {name: find_label(name, class_names) for name in set(plain)}
    return np.array([label_of[name] for name in plain], np.int64)
