"""Content of IDX files."""

import struct
from collections.abc import Sequence


def idx(shape: Sequence[int], content: bytes, kind: int = 8) -> bytes:
    """Return an IDX file; kind 8 is uint8."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape) + content
