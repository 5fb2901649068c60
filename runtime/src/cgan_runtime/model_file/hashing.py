"""SHA-256 with a fast import: hashlib loads OpenSSL, which takes 4 ms and 4 MB of memory."""

from contextlib import suppress
from importlib import import_module
from typing import Any

BUILT_IN_MODULES = ("_sha2", "_sha256")  # Python's own: its name since 3.12, and before
MAX_BUILT_IN_BYTES = 1_000_000  # beyond this size OpenSSL is faster, by 3 ms per megabyte


def sha256(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    digest = new_sha256(len(content))
    digest.update(content)
    return str(digest.hexdigest())


def new_sha256(size: int) -> Any:
    """Return an object with the interface of hashlib.sha256(), the faster one for this size."""
    if size < MAX_BUILT_IN_BYTES:
        for name in BUILT_IN_MODULES:
            with suppress(ImportError, AttributeError):  # some Pythons are built without it
                return import_module(name).sha256()
    import hashlib

    return hashlib.sha256()
