"""Atomic writes: a file appears complete or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cgan_runtime.errors import OutputError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that appears under its name only if the block succeeds.

    The content goes to a temporary file in the same folder, which is synced and then renamed. If
    the block raises, the temporary file is deleted and an existing file keeps its old content.
    Symbolic links are followed.

    Raises:
        OutputError: the path cannot be written, or exists and is not a regular file.
    """
    if "\0" in str(path):
        raise OutputError(f"{str(path)!r} contains a null character; choose another path")
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{os.urandom(8).hex()}.part")
    try:
        if target.exists() and not target.is_file():
            raise OutputError(f"{path} is not a regular file; choose another path")
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; choose another path"
        ) from error
    finally:
        with suppress(OSError):  # it was renamed, or could not be created
            temporary.unlink()


def make_folder(folder: Path, remedy: str = "choose another path") -> None:
    """Create a folder and its parents unless they exist; raise OutputError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot create {folder}: {reason}; {remedy}") from error


def write_all(content: bytes, stream: BinaryIO) -> None:
    """Write all bytes to a stream such as stdout, then flush it; raise OSError if that fails.

    An unbuffered stdout (PYTHONUNBUFFERED) may accept only a part of the bytes, for example if the
    disk becomes full. It returns their number, and only the next write raises the error.
    """
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[stream.write(remaining) :]
    stream.flush()
