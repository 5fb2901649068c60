"""The seal: a hash of the file's own bytes, at its end, so that a changed one is told.

The file's last field is the metadata entry `cgan.content_sha256`, whose value is the SHA-256 of all
bytes before it (docs/contract.md). It tells damage and careless editing. It is no signature: who
wants to deceive can compute another one, and an expected hash of the whole file is for that.
"""

import re

from cgan_runtime.errors import InputError, ModelError
from cgan_runtime.model_file.contract import CONTENT_KEY
from cgan_runtime.model_file.hashing import hasher, sha256

DIGITS = 64  # hexadecimal, of a SHA-256


def _entry(digest: str) -> bytes:
    """Return the field of a ModelProto: metadata_props (14), of key (1) and value (2)."""
    parts = ((1, CONTENT_KEY.encode()), (2, digest.encode()))
    entry = b"".join(bytes([number << 3 | 2, len(text)]) + text for number, text in parts)
    return bytes([14 << 3 | 2, len(entry)]) + entry


CHECKSUM_BYTES = len(_entry(DIGITS * "0"))
_BEGINNING = _entry(DIGITS * "0")[:-DIGITS]


def add_checksum(content: bytes) -> bytes:
    """Return the content of an ONNX file, which has no seal, with one."""
    return content + _entry(sha256(content))


def verify_checksum(content: bytes, source: str) -> str:
    """Check that a file is what it was when it was sealed.

    Returns:
        The SHA-256 of the whole file, seal and all.

    Raises:
        ModelError: it has no seal at its end, or another content.
    """
    body, seal = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if not seal.startswith(_BEGINNING):
        raise ModelError(
            f"{source} does not end in its {CONTENT_KEY}: it was changed or cut short after it was "
            "exported, or comes of a development version; copy or export it again"
        )
    digest = hasher(len(content))
    digest.update(body)
    if seal != _entry(digest.hexdigest()):
        raise ModelError(
            f"{source} was changed after it was exported: its content has another SHA-256 than its "
            f"{CONTENT_KEY}; copy or export it again"
        )
    digest.update(seal)
    return str(digest.hexdigest())


def parse_sha256(text: str) -> str:
    """Return a SHA-256 in lower case.

    Raises:
        InputError: it is not 64 hexadecimal digits.
    """
    if not isinstance(text, str) or not re.fullmatch(f"[0-9a-fA-F]{{{DIGITS}}}", text):
        raise InputError(f"{text!r:.80} is no SHA-256; give its {DIGITS} hexadecimal digits")
    return text.lower()


def require_sha256(content: bytes, expected: str, source: str) -> None:
    """Check a file against a hash that came by another way than the file did.

    Args:
        content: of the file.
        expected: as parse_sha256() returns it.
        source: the file's name, for messages.

    Raises:
        ModelError: it is another file.
    """
    found = sha256(content)
    if found != expected:
        raise ModelError(
            f"{source} is not the file that was expected: its SHA-256 is {found}; copy it again, "
            "or correct what you expect"
        )
