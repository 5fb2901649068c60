import hashlib
import sys

import pytest

from cgan_runtime.model_file import hashing


@pytest.mark.parametrize("size", [0, 1, 1000, hashing.SMALL, hashing.SMALL + 1])
def test_it_is_hashlibs(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    assert hashing.sha256(content[:size]) == hashlib.sha256(content[:size]).hexdigest()


def test_a_python_without_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in hashing.BUILT_IN:
        monkeypatch.setitem(sys.modules, name, None)
    assert hashing.sha256(b"nine") == hashlib.sha256(b"nine").hexdigest()
