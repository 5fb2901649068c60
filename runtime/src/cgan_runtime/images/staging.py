"""Add several files to a folder together: they are written elsewhere, and moved when complete."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path

from cgan_runtime.errors import OutputError, raised_by_user_code, suppress_internal
from cgan_runtime.files import CAN_LOCK, lock, make_folder, output_errors

_STAGE_NAME = re.compile(r"\.cgan-run-[0-9a-f]{16}\.part")


@contextmanager
def staged_folder(
    folder: Path,
    key: Callable[[str], str],
    may_replace: Callable[[Path], bool] = lambda _: False,
) -> Iterator[Path]:
    """Yield an empty stage, a folder whose files move to the target folder if the block succeeds.

    If the target does not exist, one rename creates it. Otherwise the files move into it in the
    order of their names, under a lock against other writers. An existing file is never replaced by
    different content, so a block that writes equal files again changes nothing.

    Args:
        folder: the target folder. Symbolic links to it are followed.
        key: maps a file name to an identifier. The target may hold only one file per identifier.
        may_replace: returns whether an existing file is a placeholder that may be replaced.

    Raises:
        OutputError: the target contains different content for one of the files, or cannot be
            written. It is unchanged then, unless the disk failed while the files moved.
    """
    target = Path(os.path.realpath(folder))
    if target.exists():
        make_folder(target)  # raises if it is a file
    parent = target if target.exists() else target.parent
    created = [path for path in (parent, *parent.parents) if not path.exists()]
    make_folder(parent)
    try:
        _delete_leftovers(parent)
        with _stage(parent, folder) as stage:
            yield stage
            with output_errors("write", folder):
                _move_files(stage, target, key, may_replace)
    finally:
        for path in created:
            with suppress_internal(OSError):  # the folder is not empty
                path.rmdir()


@contextmanager
def _stage(parent: Path, folder: Path) -> Iterator[Path]:
    """Create a locked folder for the files, and delete it at the end with all remaining files."""
    stage = parent / f".cgan-run-{os.urandom(8).hex()}.part"
    with output_errors("write", folder):
        stage.mkdir()
    try:
        with _locked(stage):  # the lock shows other processes that this one is running
            yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _move_files(
    stage: Path, target: Path, key: Callable[[str], str], may_replace: Callable[[Path], bool]
) -> None:
    """Move the files of the stage into the target folder, unless it contains other content."""
    if not target.exists():
        try:
            stage.rename(target)
        except OSError as error:
            was_created = target.is_dir()  # by another process
            if raised_by_user_code(error) or not was_created:
                raise
        else:
            return
    with _locked(target):
        existing: dict[str, list[Path]] = {}
        for path in target.iterdir():
            existing.setdefault(key(path.name), []).append(path)
        files = sorted(stage.iterdir())
        pairs = [(file, other) for file in files for other in existing.get(key(file.name), [])]
        for file, other in pairs:
            if file.name != other.name or not (_equal(file, other) or may_replace(other)):
                raise OutputError(
                    f"{target} contains {other.name} of another run; choose another folder"
                )
        for file in files:
            if not _equal(file, target / file.name):
                file.replace(target / file.name)


def _equal(file: Path, other: Path) -> bool:
    return other.is_file() and cmp(file, other, shallow=False)


def _delete_leftovers(parent: Path) -> None:
    """Delete the stages of killed processes: they contain files and are not locked."""
    for stage in parent.iterdir():
        if not _STAGE_NAME.fullmatch(stage.name) or stage.is_symlink() or not stage.is_dir():
            continue
        with suppress_internal(OSError), _locked(stage, wait=False) as is_locked:
            files = [*stage.iterdir()]
            # An empty stage may belong to a process that has not locked it yet.
            if is_locked and files and all(path.is_file() for path in files):
                shutil.rmtree(stage)


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock a folder; yield False if another process holds it or locks are not supported."""
    if not CAN_LOCK:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        is_locked = False
        with suppress_internal(BlockingIOError):
            is_locked = lock(descriptor, wait=wait)
        yield is_locked
    finally:
        os.close(descriptor)
