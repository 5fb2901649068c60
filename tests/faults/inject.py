"""Make a chosen file operation of this process fail.

The operations that change files below a folder are counted: opening for writing, each write, flush,
truncate, fsync, rename, removal and mkdir.
"""

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

KINDS = ("kill", "half", "term", "full", "broken", "read-only")
ERRNOS = {"full": errno.ENOSPC, "broken": errno.EIO, "read-only": errno.EROFS}
PERSISTENT = ("full", "read-only")  # all later operations fail too


class Injector:
    """Counts operations and makes one of them fail.

    Args:
        folder: operations outside it are not counted.
        kind: of fault, one of KINDS.
        number: of the operation that fails, from 0; with None, no operation fails.
    """

    def __init__(self, folder: Path, kind: str = "kill", number: int | None = None) -> None:
        self._folder, self._kind, self._number = str(folder.resolve()), kind, number
        self.operations: list[str] = []  # their names, in order

    def install(self) -> None:
        """Replace the file functions of this process permanently."""
        original_open: Callable[..., Any] = builtins.open

        def counted_open(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if not set(mode) & set("wxa+") or not self._is_inside(file):
                return original_open(file, mode, *rest, **options)
            self.count("open", file)
            return _CountedFile(original_open(file, mode, *rest, **options), self)

        builtins.open = io.open = counted_open
        for name in ("fsync", "replace", "rename", "unlink", "remove", "mkdir", "truncate"):
            setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(target: Any, *rest: Any, **options: Any) -> Any:
            if self._is_inside(target):
                self.count(name, target)
            return function(target, *rest, **options)

        return counted

    def _is_inside(self, target: Any) -> bool:
        if isinstance(target, int):  # a file descriptor
            target = Path(f"/proc/self/fd/{target}").readlink()
        return str(Path(os.fspath(target)).absolute()).startswith(self._folder)

    def count(self, name: str, target: Any, write_half: Callable[[], Any] | None = None) -> None:
        """Count an operation and, if it is the chosen one, make it fail."""
        number = len(self.operations)
        self.operations.append(f"{name} {Path(str(target)).suffix}")
        if self._number is None or number < self._number:
            return
        if number > self._number and self._kind not in PERSISTENT:
            return
        self._fail(name, write_half)

    def _fail(self, name: str, write_half: Callable[[], Any] | None) -> None:
        if self._kind == "term":
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if self._kind in ("half", "full") and write_half is not None:
            write_half()
        if self._kind in ("kill", "half"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name in ("unlink", "remove") and self._kind != "read-only":
            return  # files can still be removed from a full or broken disk
        raise OSError(ERRNOS[self._kind], os.strerror(ERRNOS[self._kind]))


class _CountedFile:
    """A file whose operations are counted."""

    def __init__(self, file: Any, injector: Injector) -> None:
        self._file, self._injector = file, injector

    def write(self, content: Any) -> Any:
        def write_half() -> None:
            self._file.write(content[: len(content) // 2])
            self._file.flush()

        self._injector.count("write", self._file.name, write_half)
        return self._file.write(content)

    def flush(self) -> None:
        self._injector.count("flush", self._file.name)
        self._file.flush()

    def truncate(self, size: int | None = None) -> Any:
        self._injector.count("truncate", self._file.name)
        return self._file.truncate(size)

    def __enter__(self) -> "_CountedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
