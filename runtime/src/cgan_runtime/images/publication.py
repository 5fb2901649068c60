"""Publish the files of a folder together, so that no reader sees files of two different sets."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path

from cgan_runtime.errors import OutputError, is_callers, suppress_own
from cgan_runtime.files import make_folder, output_errors

_STAGE_NAME = re.compile(r"\.cgan-run-[0-9a-f]{16}\.part")


@contextmanager
def staged(
    folder: Path,
    key: Callable[[str], str],
    may_replace: Callable[[Path], bool] = lambda _: False,
) -> Iterator[Path]:
    """Yield an empty folder whose files appear in another folder if the block succeeds.

    If the other folder does not exist, one rename creates it. Otherwise the files move into it in
    the order of their names, under a lock that serializes several writers. They never replace a
    file with other content, so a block that writes the same files again changes nothing.

    Args:
        folder: folder that receives the files. Symbolic links to it are followed.
        key: returns what a file name stands for. Two names with the same key exclude each other.
        may_replace: whether an existing file stands for nothing and may be replaced.

    Raises:
        OutputError: the folder contains other content for one of the files, or cannot be written.
            It is unchanged then, unless the disk failed while the files moved.
    """
    target = Path(os.path.realpath(folder))
    if target.exists():
        make_folder(target)  # raises if it is a file
    parent = target if target.exists() else target.parent
    created = [each for each in (parent, *parent.parents) if not each.exists()]
    make_folder(parent)
    try:
        _delete_leftovers(parent)
        with _stage(parent, folder) as stage:
            yield stage
            with output_errors("write", folder):
                _publish(stage, target, key, may_replace)
    finally:
        for each in created:
            with suppress_own(OSError):  # it is not empty
                each.rmdir()


@contextmanager
def _stage(parent: Path, folder: Path) -> Iterator[Path]:
    """Create a locked folder for the files; delete it with what is left in it at the end."""
    stage = parent / f".cgan-run-{os.urandom(8).hex()}.part"
    with output_errors("write", folder):
        stage.mkdir()
    try:
        with _lock(stage):  # it tells other processes that this one is alive
            yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _publish(
    stage: Path, target: Path, key: Callable[[str], str], may_replace: Callable[[Path], bool]
) -> None:
    if not target.exists():
        try:
            stage.rename(target)
        except OSError as error:
            if is_callers(error) or not target.is_dir():
                raise  # otherwise, another process has created it
        else:
            return
    with _lock(target):
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
    """Delete the folders of killed processes: they contain files, but nobody locks them."""
    for stage in parent.iterdir():
        if not _STAGE_NAME.fullmatch(stage.name) or stage.is_symlink() or not stage.is_dir():
            continue
        with suppress_own(OSError), _lock(stage, wait=False) as locked:
            files = [*stage.iterdir()]
            # A process that has just created its folder may not have locked it yet.
            if locked and files and all(path.is_file() for path in files):
                shutil.rmtree(stage)


@contextmanager
def _lock(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock a folder; yield False if another process holds it or locks are not supported."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        locked = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:  # it is locked, or the file system has no locks
            if is_callers(error):
                raise
            locked = False
        yield locked
    finally:
        os.close(descriptor)
