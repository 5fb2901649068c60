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

from cgan_runtime.errors import OutputError, is_callers, suppress_own

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MAX_NAME_BYTES = 150  # file systems allow 255 for a whole name
CLEANED_NAMES = 8  # temporary names of a target that are cleaned; more are used if all are in use
_unfinished: set[Path] = set()  # temporary files of this process


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that appears under its name only if the block succeeds.

    The content goes to a temporary file in the same folder, which is synced and then renamed. If
    the block raises, the temporary file is deleted and an existing file keeps its old content.
    A new file gets the permissions of the umask, and a replaced one keeps its own. Symbolic links
    are followed. Temporary files that killed processes left for this path are removed.

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
        file, temporary, lock = _open_temporary(target)
        _unfinished.add(temporary)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            _unfinished.discard(temporary)
            with suppress_own(OSError):  # it was renamed
                if lock is None or os.path.samestat(os.fstat(lock), temporary.lstat()):
                    temporary.unlink()
            if lock is not None:
                os.close(lock)


@contextmanager
def output_errors(verb: str, path: Path, remedy: str = "choose another path") -> Iterator[None]:
    """Raise OutputError for an error of the operating system within the block.

    A signal handler can raise an OSError too, such as TimeoutError. It has no errno, and passes.
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


def remove_if_abandoned(temporary: Path) -> None:
    """Remove a temporary file of atomic_write() whose process has died.

    A writer holds a lock on its file (flock), which ends with the process. The file stays if the
    lock is held or the file system has no locks, and on Windows.
    """
    if fcntl is None:
        return
    with suppress_own(OSError):  # there is none, or it is in use
        descriptor = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            # The name may have passed to another writer before the file was locked.
            if stat.S_ISREG(status.st_mode) and os.path.samestat(status, temporary.lstat()):
                temporary.unlink()
        finally:
            os.close(descriptor)


def _temporary_path(target: Path, number: int) -> Path:
    """Return one of the temporary names of a target, which its later writers find again."""
    digest = hashlib.sha256(os.fsencode(f"{target.name}/{number}"))
    return target.with_name(f".{digest.hexdigest()[:16]}.part")


def _open_temporary(target: Path) -> tuple[BinaryIO, Path, int | None]:
    """Create a temporary file; return it, its path, and a descriptor that keeps it locked."""
    for number in count():
        temporary = _temporary_path(target, number)
        try:
            file = temporary.open("xb")
        except FileExistsError:  # another writer of the target
            continue
        if fcntl is None:
            break
        with suppress_own(OSError):  # there is no target, or the file system has no permissions
            os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
        lock = os.dup(file.fileno())
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), temporary.lstat()):
                return file, temporary, lock
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError as error:  # a file system without locks
            if is_callers(error):
                raise
            return file, temporary, lock
        os.close(lock)  # another writer took the file for abandoned before it was locked
        file.close()
    return file, temporary, None


def require_space(path: Path, size: int) -> None:
    """Raise OutputError if the disk of a path, which may not exist yet, has fewer free bytes."""
    from shutil import disk_usage  # takes milliseconds

    for folder in (path, *path.parents):
        with suppress_own(OSError, ValueError):  # it does not exist, or contains a null character
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
        if is_callers(error):
            raise
        raise OutputError(f"cannot create {folder}: {error}; {remedy}") from error


@contextmanager
def lock_folder(folder: Path, message: str) -> Iterator[bool]:
    """Lock a folder against other processes; yield whether the system supports the lock.

    The lock is on the file .lock in the folder, which exists only within the block. A process that
    dies loses its locks, so that a .lock which it left has no effect.

    Raises:
        OutputError: the folder cannot be written, or another process holds the lock; the message
            is that of the second case.
    """
    if fcntl is None:
        yield False
        return
    path = folder / ".lock"
    while True:
        with output_errors("write to", folder, "check its permissions"):
            file = path.open("ab")  # NFS locks only files that are open for writing
        with file:  # closing the file releases the lock
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputError(message) from error
            except OSError as error:  # the file system has no locks
                if is_callers(error):
                    raise
                yield False
                return
            if not _is_same_file(path, file):  # its holder deleted it meanwhile
                continue
            try:
                yield True
            finally:
                with suppress_own(OSError):
                    path.unlink()
            return


def _is_same_file(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def write_all(content: bytes, stream: BinaryIO) -> None:
    """Write all bytes to a stream such as stdout, then flush it; raise OSError if that fails.

    An unbuffered stdout (PYTHONUNBUFFERED) may accept only a part of the bytes, for example if the
    disk becomes full. It returns their number, and only the next write raises the error.
    """
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[stream.write(remaining) :]
    stream.flush()


def to_file_name(name: str, kept: str = "", default: str = "class") -> str:
    """Return a name in a form that is valid within a file name, of at most 150 bytes.

    Only letters, digits, the marks that belong to them and the characters in `kept` stay, but no
    dash or dot at the ends. If nothing is left, the default is returned.
    """
    text = unicodedata.normalize("NFC", name)
    characters = (
        each if each.isalnum() or each in kept or unicodedata.category(each)[0] == "M" else "-"
        for each in text
    )
    joined = re.sub("-+", "-", "".join(characters))
    return joined.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip("-.") or default
