"""The lock of a folder."""

import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from cgan_runtime.errors import OutputError
from cgan_runtime.files import lock_folder


def test_at_most_one_holder_has_the_lock_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()  # a process that was killed leaves it
    holders, max_holders, acquisitions = 0, 0, 0
    counter = threading.Lock()

    def work() -> None:
        nonlocal holders, max_holders, acquisitions
        for _ in range(300):
            with suppress(OutputError), lock_folder(tmp_path, "in use"):
                with counter:
                    holders, acquisitions = holders + 1, acquisitions + 1
                    max_holders = max(max_holders, holders)
                with counter:
                    holders -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max_holders == 1
    assert acquisitions > 10
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="locks need fcntl")
def test_a_folder_that_cannot_be_written_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with (
        pytest.raises(OutputError, match=r"cannot write to .*: Is a directory; check its perm"),
        lock_folder(tmp_path, "in use"),
    ):
        pass
