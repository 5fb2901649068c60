"""Read input files up to a size limit. Pipes can be endless, and sparse files can be huge."""

import errno
import os
from io import BufferedReader
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 2**20
MAX_PIPE_BYTES = 2**28  # limit for a file whose size is unknown before it is read


class Readable(Protocol):
    """A binary file, or a stream that decompresses one."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, and no bytes at the end."""


def read_bounded(path: Path, limit: int, signature: bytes = b"") -> bytes:
    """Return the content of a file, a pipe or a device.

    A file that does not begin with the signature is not read; b"" is returned.

    Raises:
        OSError: the file cannot be read, or has more than `limit` bytes.
    """
    with open_input(path) as file:
        begin = file.peek(1)[: len(signature)]
        if not signature.startswith(begin):
            return b""
        if size := os.fstat(file.fileno()).st_size:
            content = file.read(min(size, limit) + 1)
        else:
            limit = min(limit, MAX_PIPE_BYTES)
            content = bytes(read_up_to(file, limit + 1))
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes")
    return content


def read_up_to(file: Readable, size: int) -> bytearray:
    """Read up to `size` bytes. The memory grows with the bytes read, not with `size`."""
    content = bytearray()
    while chunk := file.read(min(CHUNK_BYTES, size - len(content))):
        content += chunk
    return content


def open_input(path: Path) -> BufferedReader:
    """Open a file for reading. A FIFO without a writer reads as empty instead of blocking.

    Raises:
        OSError: the file cannot be opened.
    """
    return open(path, "rb", opener=_open_without_waiting)


def _open_without_waiting(path: str, flags: int) -> int:
    if not hasattr(os, "O_NONBLOCK"):  # Windows
        return os.open(path, flags)
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor
