"""The checksum at the end of a model file, which detects changed content.

The last field of the file is the metadata entry `cgan.content_sha256`, whose value is the SHA-256
of all bytes before it (docs/contract.md). It detects damage and careless editing. It is not a
signature: anyone can change a file and compute a new checksum. To be sure of a file's origin, get
the hash of the whole file from another source and use require_sha256().
web/src/model/checksum.js is a port of this module; change both.
"""

import re
from hashlib import sha256

from cgan_runtime.errors import InputError, ModelError
from cgan_runtime.model_file.contract import CONTENT_KEY
from cgan_runtime.model_file.messages import error_message

SHA256_DIGITS = 64  # number of hexadecimal digits of a SHA-256


def _entry(digest: str) -> bytes:
    """Return the encoded metadata entry: field 14 of ModelProto, with key (1) and value (2)."""
    parts = ((1, CONTENT_KEY.encode()), (2, digest.encode()))
    entry = b"".join(bytes([number << 3 | 2, len(text)]) + text for number, text in parts)
    return bytes([14 << 3 | 2, len(entry)]) + entry


CHECKSUM_BYTES = len(_entry("0" * SHA256_DIGITS))
_PREFIX = _entry("0" * SHA256_DIGITS)[:-SHA256_DIGITS]  # the entry without its value


def add_checksum(content: bytes) -> bytes:
    """Return the content of an ONNX file with a checksum appended."""
    return content + _entry(sha256(content).hexdigest())


def verify_checksum(content: bytes, source: str) -> str:
    """Return the SHA-256 of a file; raise ModelError if its checksum is missing or differs."""
    body, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if not checksum.startswith(_PREFIX):
        raise ModelError(error_message("no checksum", source=source, key=CONTENT_KEY))
    digest = sha256(body)
    if checksum != _entry(digest.hexdigest()):
        raise ModelError(error_message("wrong checksum", source=source, key=CONTENT_KEY))
    digest.update(checksum)
    return digest.hexdigest()


def parse_sha256(text: str) -> str:
    """Return a SHA-256 in lower case; raise InputError if it is not 64 hexadecimal digits."""
    if not isinstance(text, str) or not re.fullmatch(f"[0-9a-fA-F]{{{SHA256_DIGITS}}}", text):
        raise InputError(
            f"{text!r:.80} is not a SHA-256 hash; give {SHA256_DIGITS} hexadecimal digits"
        )
    return text.lower()


def require_sha256(content: bytes, expected: str, source: str) -> None:
    """Raise ModelError if the SHA-256 of a whole file is not `expected`, which is in lower case."""
    actual = sha256(content).hexdigest()
    if actual != expected:
        raise ModelError(
            f"{source} is not the expected file: its SHA-256 is {actual}; copy it again, or "
            "correct the expected hash"
        )
