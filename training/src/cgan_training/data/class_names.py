"""Read the class names of a dataset from classes.txt: one per line, in UTF-8."""

import errno
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from cgan_runtime.model_file.contract import MAX_CLASSES
from cgan_training.errors import DatasetError
from cgan_training.input_files import read_bounded

CLASSES = "classes.txt"
MAX_LENGTH = 200  # largest number of characters of a name
MAX_FILE_BYTES = 2**23  # more than a file with the longest names has
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # used in Persian text and emoji


def read_class_names(path: Path) -> tuple[str, ...] | None:
    """Return the names in Unicode's normalization form C, or None if the file does not exist.

    Raises:
        DatasetError: the file cannot be read, or a name is empty, too long, unprintable or used
            twice.
    """
    try:
        # Some editors write a byte order mark, which utf-8-sig removes.
        text = read_bounded(path, MAX_FILE_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as error:
        remedy = "check its permissions"
        if error.errno == errno.EFBIG:
            remedy = f"write one class name per line, at most {MAX_CLASSES:,}"
        raise DatasetError(f"cannot read {path}: {error.strerror}; {remedy}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    if len(lines) > MAX_CLASSES:
        raise DatasetError(
            f"{path} has {len(lines):,} lines; write at most {MAX_CLASSES:,}, one name per line"
        )
    names = [unicodedata.normalize("NFC", line.strip()) for line in lines]
    known: set[str] = set()
    for number, name in enumerate(names, 1):
        if problem := name_problem(name):
            raise DatasetError(f"line {number} of {path} {problem}; write one class name per line")
        if name in known:
            raise DatasetError(
                f"line {number} of {path} repeats the class name {name!r}; use each name once"
            )
        known.add(name)
    return tuple(names)


def check_class_names(names: Sequence[object], source: str) -> tuple[str, ...]:
    """Normalize and check names that are not from a file, as read_class_names() does.

    Raises:
        DatasetError: there are too many names, or one is not a string, invalid, or used twice.
    """
    if not 1 <= len(names) <= MAX_CLASSES:
        raise DatasetError(f"{source}: there are {len(names):,}; give 1 to {MAX_CLASSES:,} names")
    checked: dict[str, None] = {}  # a dict keeps the order of the names
    for name in names:
        text = unicodedata.normalize("NFC", name.strip()) if isinstance(name, str) else ""
        problem = "is not a string" if not isinstance(name, str) else name_problem(text)
        problem = "is used twice" if text in checked else problem
        if problem:
            raise DatasetError(f"{source}: {name!r:.80} {problem}; give one string per class")
        checked[text] = None
    return tuple(checked)


def name_problem(name: str) -> str | None:
    """Return what is wrong with a class name, or None."""
    without_joiners = name.translate(dict.fromkeys(map(ord, JOINERS)))
    if not without_joiners:
        return "is empty"
    if not without_joiners.isprintable():
        return "has unprintable characters"
    if len(name) > MAX_LENGTH:
        return f"has {len(name):,} characters, more than {MAX_LENGTH}"
    return None
