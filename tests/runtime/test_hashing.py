import hashlib
import sys

import pytest

from cgan_runtime.model_file import hashing


@pytest.mark.parametrize("size", [0, 1000, hashing.MAX_BUILT_IN_BYTES])
def test_hash_equals_hashlib(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    assert hashing.sha256(content[:size]) == hashlib.sha256(content[:size]).hexdigest()


def test_python_without_a_built_in_module(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in hashing.BUILT_IN_MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    assert hashing.sha256(b"nine") == hashlib.sha256(b"nine").hexdigest()
