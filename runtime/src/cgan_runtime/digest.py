"""SHA-256 that costs a start little: hashlib brings OpenSSL along, 4 MB and 4 ms of it."""

from importlib import import_module

BUILT_IN = ("_sha2", "_sha256")  # Python's own module: its name since 3.12, and before
SMALL = 1_000_000  # bytes; it is slower than OpenSSL by 3 ms for each megabyte


def sha256(content: bytes) -> str:
    """Return the hash in hexadecimal."""
    for name in (*BUILT_IN, "hashlib") if len(content) < SMALL else ("hashlib",):
        try:
            digest = import_module(name).sha256(content)
        except (ImportError, AttributeError):  # a Python built without it
            continue
        return str(digest.hexdigest())
    raise ImportError("this Python has no SHA-256")
