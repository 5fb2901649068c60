"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cgan_runtime.errors import OutputError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes its name only when the block ends well.

    It is written beside its place, synced and renamed. When the block raises, nothing is
    left behind and a file that was there before stays as it was. A link is followed.

    Raises:
        OutputError: the place cannot be written, or is no ordinary file.
    """
    if "\0" in str(path):
        raise OutputError(f"{str(path)!r} is no path; choose another place")
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{os.urandom(8).hex()}.part")
    try:
        if place.exists() and not place.is_file():
            raise OutputError(f"{path} is no ordinary file; choose another place")
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; choose another place"
        ) from error
    finally:
        with suppress(OSError):  # it has its name by now, or never came to be
            temporary.unlink()


def write_all(content: bytes, stream: BinaryIO) -> None:
    """Write bytes to a stream such as stdout, to the last one.

    Where Python does not buffer stdout (PYTHONUNBUFFERED), a write that a full disk or a closed
    pipe cuts short is no error: it tells how much went out, and the next one fails.

    Raises:
        OSError: the stream takes no more.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[stream.write(rest) :]
    stream.flush()
