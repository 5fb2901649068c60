"""Import the networks, losses and datasets that a user names, as "my_package.my_module:Name".

Only names from the command line or from a recipe file that the user gave reach this module, never
names that a model or checkpoint contains.
"""

import importlib
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any

from cgan_runtime.errors import printable
from cgan_training.errors import UserCodeError, one_line

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")


def is_user_code(name: str) -> bool:
    """Return whether a string has the form "my_package.my_module:Name"."""
    return _NAME.fullmatch(name) is not None


def is_user_file(path: str) -> bool:
    """Return whether a source file belongs to the user: not to Python, torch or this project."""
    is_standard = path.startswith(_STANDARD_LIBRARY) and "site-packages" not in path
    if path.startswith("<") or is_standard:
        return False
    packages = "torch", "cgan_runtime", "cgan_training", "cgan_export"
    specs = (find_spec(name) for name in packages)
    folders = (Path(spec.origin).parent for spec in specs if spec and spec.origin)
    return not any(Path(path).is_relative_to(folder) for folder in folders)


def place_of(error: BaseException) -> str:
    """Return where a user's code failed, such as " at my_module.py:12", or "" if it is unknown."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_user_file(frame.filename)]
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def explain_file_name(name: str) -> str | None:
    """Return advice for a name such as "folder/my_module.py:Name"; None if its file is not .py."""
    file, _, attribute = name.partition(":")
    path = PurePath(file)
    if path.suffix != ".py":
        return None
    module = ".".join(path.with_suffix("").parts)
    text = f"{module}:{attribute or 'NAME'}"
    if not is_user_code(text):
        text = f"{path.stem}:{attribute or 'NAME'} in the folder {path.parent}"
    return f"write {text}" if attribute else f"write {text}, where NAME is an object in {path.name}"


def import_object(name: str) -> Any:
    """Import the object that a user named. The current folder is searched too.

    Args:
        name: "my_package.my_module:Name"; the part after the colon may contain dots.

    Raises:
        UserCodeError: the name has another form, or the module does not exist, cannot be imported
            or lacks the attribute.
    """
    advice = explain_file_name(name)
    if not is_user_code(name):
        what = f"{printable(name)!r} is not of the form my_package.my_module:Name"
        raise UserCodeError(f"{what}; {printable(advice)}" if advice else what)
    module_name, _, attributes = name.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise UserCodeError(_failed(name, error)) from error
        raise UserCodeError(
            f"there is no module {error.name!r} for {name}; "
            + (advice or "run the command in the folder that contains it, or install its package")
        ) from error
    except Exception as error:
        raise UserCodeError(_failed(name, error)) from error
    for attribute in attributes.split("."):
        if not hasattr(value, attribute):
            raise UserCodeError(
                f"the module {module_name!r} has no {attributes!r}; check the name after the colon"
            )
        value = getattr(value, attribute)
    return value


@contextmanager
def explain_failures(problem: str, advice: str = "correct it") -> Iterator[None]:
    """Raise a UserCodeError with the problem and the advice if the user's code in the block fails.

    Raises:
        UserCodeError: the block raised an exception.
    """
    try:
        yield
    except Exception as error:
        raise UserCodeError(
            f"{problem} ({printable(one_line(error))}); {advice}, or use --debug for the traceback"
        ) from error


def _failed(name: str, error: Exception) -> str:
    return (
        f"cannot import {name}{place_of(error)}: {printable(one_line(error))}; correct the "
        "module, or use --debug for its traceback"
    )
