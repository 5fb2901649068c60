"""Atomic writes: a file appears complete or not at all."""

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO

from cgan_runtime.errors import OutputError, raised_by_user_code, suppress_internal

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CAN_LOCK = fcntl is not None
MAX_NAME_BYTES = 150  # file systems allow 255 bytes for a whole file name
# Number of temporary names per target among which atomic_write() looks for files of killed
# processes. If other writers use all of them, it takes names with higher numbers.
CLEANED_NAMES = 8
TEMPORARY_NAMES = ".????????????????.part"  # glob pattern of the names of temporary files
_unfinished: set[Path] = set()  # temporary files that this process is writing


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that appears under its name only if the block succeeds.

    The content goes to a temporary file in the same folder, which is synced and then renamed. If
    the block raises, the temporary file is deleted and an existing file keeps its old content.
    A new file gets the permissions of the umask, and a replaced file keeps its permissions.
    Symbolic links are followed. Temporary files that killed processes left for this path are
    removed.

    Raises:
        OutputError: the path cannot be written, or exists and is not a regular file.
    """
    if "\0" in str(path):
        raise OutputError(f"{str(path)!r} contains a null character; choose another path")
    target = Path(os.path.realpath(path))
    with output_errors("write", path):
        if target.exists() and not target.is_file():
            raise OutputError(f"{path} is not a regular file; choose another path")
        for number in range(CLEANED_NAMES):
            remove_if_abandoned(_temporary_path(target, number))
        file, temporary, descriptor = _open_temporary(target)
        _unfinished.add(temporary)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            _unfinished.discard(temporary)
            with suppress_internal(OSError):  # the temporary file was renamed
                if descriptor is None or _is_same_file(temporary, descriptor):
                    temporary.unlink()
            if descriptor is not None:
                os.close(descriptor)


@contextmanager
def output_errors(verb: str, path: Path, remedy: str = "choose another path") -> Iterator[None]:
    """Raise OutputError for an error of the operating system within the block.

    An OSError without an errno passes unchanged, such as the TimeoutError of a signal handler.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OutputError(f"cannot {verb} {path}: {error.strerror}; {remedy}") from error


def is_writing() -> bool:
    """Return whether a file of atomic_write() is unfinished in this process."""
    return bool(_unfinished)


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder (flock); the lock ends when it is closed or the process dies.

    Returns:
        False if the system or the file system has no locks.

    Raises:
        BlockingIOError: another process holds the lock. With wait, the function waits instead.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        if raised_by_user_code(error):
            raise
        return False
    return True


def remove_if_abandoned(temporary: Path) -> None:
    """Remove a temporary file of atomic_write() whose process has died.

    A writer locks its file until its process ends. The file stays if the lock is held, or if there
    are no locks.
    """
    if not CAN_LOCK:
        return
    with suppress_internal(OSError):  # the file does not exist, or is in use
        descriptor = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            is_abandoned = lock(descriptor)
            status = os.fstat(descriptor)
            is_file = stat.S_ISREG(status.st_mode)
            # Another writer may have replaced the file before it was locked here.
            if is_abandoned and is_file and os.path.samestat(status, temporary.lstat()):
                temporary.unlink()
        finally:
            os.close(descriptor)


def _temporary_path(target: Path, number: int) -> Path:
    """Return temporary path `number` of a target, where later writers find a leftover file."""
    digest = hashlib.sha256(os.fsencode(f"{target.name}/{number}"))
    return target.with_name(f".{digest.hexdigest()[:16]}.part")


def _open_temporary(target: Path) -> tuple[BinaryIO, Path, int | None]:
    """Create a temporary file; return it, its path, and a descriptor that keeps it locked."""
    numbers = count()
    while True:
        temporary = _temporary_path(target, next(numbers))
        try:
            file = temporary.open("xb")
        except FileExistsError:  # another writer of the target
            continue
        if not CAN_LOCK:
            return file, temporary, None
        # There may be no target yet, and some file systems have no permissions.
        with suppress_internal(OSError):
            os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
        descriptor = os.dup(file.fileno())
        with suppress_internal(BlockingIOError):
            if not lock(descriptor) or _is_same_file(temporary, descriptor):
                return file, temporary, descriptor
        # Another writer found the file unlocked, took it for abandoned and deleted it. Try again.
        os.close(descriptor)
        file.close()


def require_space(path: Path, size: int) -> None:
    """Raise OutputError if the disk has fewer than size free bytes. The path need not exist yet."""
    from shutil import disk_usage  # takes milliseconds

    for folder in (path, *path.parents):
        # A folder may not exist yet, or its name may contain a null character (ValueError).
        with suppress_internal(OSError, ValueError):
            free = disk_usage(folder).free
            if size > free:
                raise OutputError(
                    f"cannot write {path}: it needs at least {_readable(size)}, and the disk has "
                    f"{_readable(free)} free; generate fewer images, or choose another disk"
                )
            return


def _readable(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size:,} bytes"


def make_folder(folder: Path, remedy: str = "choose another path") -> None:
    """Create a folder and its parents unless they exist; raise OutputError if that fails."""
    try:
        with output_errors("create", folder, remedy):
            folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:  # a null character
        if raised_by_user_code(error):
            raise
        raise OutputError(f"cannot create {folder}: {error}; {remedy}") from error


@contextmanager
def lock_folder(folder: Path, message: str) -> Iterator[bool]:
    """Lock a folder against other processes; yield whether the system supports the lock.

    The lock is on the file .lock in the folder, which exists only within the block. A process that
    dies loses its lock, so a leftover .lock has no effect.

    Raises:
        OutputError: the folder cannot be written, or another process holds the lock. In the second
            case, the error has the given message.
    """
    if not CAN_LOCK:
        yield False
        return
    path = folder / ".lock"
    while True:
        with output_errors("write to", folder, "check its permissions"):
            file = path.open("ab")  # NFS locks only files that are open for writing
        with file:  # closing the file releases the lock
            try:
                is_locked = lock(file.fileno())
            except BlockingIOError as error:
                raise OutputError(message) from error
            if not is_locked:
                yield False
                return
            if not _is_same_file(path, file.fileno()):
                continue  # the process that held the lock has deleted the file
            try:
                yield True
            finally:
                with suppress_internal(OSError):
                    path.unlink()
            return


def _is_same_file(path: Path, descriptor: int) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def write_all(content: bytes, stream: BinaryIO) -> None:
    """Write all bytes to a stream such as stdout, then flush it; raise OSError if that fails.

    One write() to an unbuffered stdout (PYTHONUNBUFFERED) may write only a part, for example if the
    disk becomes full. It returns the number of written bytes, and the next write() raises OSError.
    """
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[stream.write(remaining) :]
    stream.flush()


def to_file_name(name: str, kept: str = "", default: str = "class") -> str:
    """Return a text that is valid as a part of a file name, of at most 150 bytes.

    Each run of characters other than letters, digits, combining marks and those in `kept` becomes
    one dash. Dashes and dots at the ends are removed. If nothing is left, return the default.
    """

    def is_kept(character: str) -> bool:
        is_mark = unicodedata.category(character).startswith("M")
        return character.isalnum() or is_mark or character in kept

    text = unicodedata.normalize("NFC", name)
    dashed = "".join(character if is_kept(character) else "-" for character in text)
    joined = re.sub("-+", "-", dashed)
    return joined.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip("-.") or default
