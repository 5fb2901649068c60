"""Let a chosen file operation of this process go wrong.

Counted are the operations that change what lies below a folder: opening for writing, each write,
flush, truncation, sync, rename, removal and new folder.
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
LASTING = ("full", "read-only")  # whatever is written afterwards fails too


class Injector:
    """Counts operations, and makes one of them fail.

    Args:
        folder: operations elsewhere are not counted.
        kind: of fault, one of KINDS.
        number: of the operation, counted from 0; None counts alone.
    """

    def __init__(self, folder: Path, kind: str = "kill", number: int | None = None) -> None:
        self._folder, self._kind, self._number = str(folder.resolve()), kind, number
        self.done: list[str] = []  # operations, by name

    def install(self) -> None:
        """Put this between the process and its files, for good."""
        opens: Callable[..., Any] = builtins.open

        def open_counted(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if not set(mode) & set("wxa+") or not self._mine(file):
                return opens(file, mode, *rest, **options)
            self._count("open", file)
            return _File(opens(file, mode, *rest, **options), self)

        builtins.open = io.open = open_counted
        for name in ("fsync", "replace", "rename", "unlink", "remove", "mkdir", "truncate"):
            setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(target: Any, *rest: Any, **options: Any) -> Any:
            if self._mine(target):
                self._count(name, target)
            return function(target, *rest, **options)

        return counted

    def _mine(self, target: Any) -> bool:
        if isinstance(target, int):  # a descriptor
            target = Path(f"/proc/self/fd/{target}").readlink()
        return str(Path(os.fspath(target)).absolute()).startswith(self._folder)

    def _count(self, name: str, target: Any, half: Callable[[], Any] | None = None) -> None:
        number = len(self.done)
        self.done.append(f"{name} {Path(str(target)).suffix}")
        if self._number is None:
            return
        if number == self._number or (number > self._number and self._kind in LASTING):
            self._fail(name, half)

    def _fail(self, name: str, half: Callable[[], Any] | None) -> None:
        if self._kind == "term":
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if self._kind in ("half", "full") and half is not None:
            half()
        if self._kind in ERRNOS:
            if name not in ("unlink", "remove") or self._kind == "read-only":
                raise OSError(ERRNOS[self._kind], os.strerror(ERRNOS[self._kind]))
            return
        os.kill(os.getpid(), signal.SIGKILL)


class _File:
    """A file whose writes are counted."""

    def __init__(self, file: Any, injector: Injector) -> None:
        self._file, self._injector = file, injector

    def write(self, content: Any) -> Any:
        def half() -> None:
            self._file.write(content[: len(content) // 2])
            self._file.flush()

        self._injector._count("write", self._file.name, half)
        return self._file.write(content)

    def flush(self) -> None:
        self._injector._count("flush", self._file.name)
        self._file.flush()

    def truncate(self, size: int | None = None) -> Any:
        self._injector._count("truncate", self._file.name)
        return self._file.truncate(size)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
