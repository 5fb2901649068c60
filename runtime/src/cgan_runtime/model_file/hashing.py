"""SHA-256 that costs a start little: hashlib brings OpenSSL along, 4 MB and 4 ms of it."""

from contextlib import suppress
from importlib import import_module
from typing import Any

BUILT_IN = ("_sha2", "_sha256")  # Python's own module: its name since 3.12, and before
SMALL = 1_000_000  # bytes; it is slower than OpenSSL by 3 ms for each megabyte


def sha256(content: bytes) -> str:
    """Return the hash in hexadecimal."""
    digest = hasher(len(content))
    digest.update(content)
    return str(digest.hexdigest())


def hasher(size: int) -> Any:
    """Return an object such as hashlib.sha256()'s, for so many bytes."""
    if size < SMALL:
        for name in BUILT_IN:
            with suppress(ImportError, AttributeError):  # a Python built without it
                return import_module(name).sha256()
    import hashlib

    return hashlib.sha256()
