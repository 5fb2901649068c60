import errno
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write, write_all


def write(path: Path, *parts: bytes | Exception) -> None:
    """Write the parts one by one; an exception among them is an accident."""
    with atomic_write(path) as file:
        for part in parts:
            if isinstance(part, Exception):
                raise part
            file.write(part)


@pytest.fixture
def umask_of_a_group() -> Any:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    with atomic_write(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_file_stays_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_reads_on(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write(path, b"new")
        assert reader.read() == b"old"


@pytest.mark.parametrize("accident", [ZeroDivisionError(), KeyError("key")])
def test_an_accident_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, accident: Exception
) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(b"old")
    with pytest.raises(type(accident)):
        write(path, b"half", accident)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with atomic_write(tmp_path / "digit.png") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"cannot write .*digit\.png: .*; choose another place"):
        write(path, b"half", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["none/digit.png", "file/digit.png", f"{300 * 'n'}.png"], ids=["none", "file", "long"]
)
def test_a_place_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        write(tmp_path / name, b"new")
    assert str(caught.value).startswith(f"cannot write {tmp_path / name}: ")
    assert str(caught.value).endswith("; choose another place")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_long_name_that_the_file_system_takes(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 251}.png"
    path.touch()  # takes it
    write(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Modes would not hold back root; on a read-only file system unlink fails as open does."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        if code == errno.EROFS:
            patch.setattr(Path, "unlink", refuse)
        with pytest.raises(OutputError, match=f"{os.strerror(code)}; choose another place$"):
            write(tmp_path / "digit.png", b"new")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_place(tmp_path: Path) -> None:
    place = tmp_path / "digit.png"
    place.mkdir()
    with pytest.raises(OutputError, match=r"digit\.png is no ordinary file; choose another place"):
        write(place, b"new")
    assert list(tmp_path.iterdir()) == [place]


def test_a_pipe_is_no_place(tmp_path: Path) -> None:
    place = tmp_path / "digit.png"
    os.mkfifo(place)
    with pytest.raises(OutputError, match="is no ordinary file"):
        write(place, b"new")
    assert stat.S_ISFIFO(place.stat().st_mode)
    assert list(tmp_path.iterdir()) == [place]


def test_a_device_is_left_alone() -> None:
    null = Path("/dev/null")
    before = null.stat()
    with pytest.raises(OutputError, match="/dev/null is no ordinary file"):
        write(null, b"new")
    after = null.stat()
    assert (after.st_mode, after.st_ino, after.st_rdev) == (
        before.st_mode,
        before.st_ino,
        before.st_rdev,
    )
    assert not list(Path("/dev").glob(".null.*"))


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    place, link = tmp_path / "elsewhere" / "real.png", tmp_path / "digit.png"
    link.symlink_to(Path("elsewhere") / "real.png")
    for content in (b"one", b"two"):  # first it dangles
        write(link, content)
        assert link.is_symlink()
        assert place.read_bytes() == content
    assert list((tmp_path / "elsewhere").iterdir()) == [place]


def test_a_link_to_a_device_is_followed_too(tmp_path: Path) -> None:
    link = tmp_path / "digit.png"
    link.symlink_to("/dev/null")
    with pytest.raises(OutputError, match="is no ordinary file"):
        write(link, b"new")
    assert list(tmp_path.iterdir()) == [link]


@pytest.mark.usefixtures("umask_of_a_group")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    write(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_name_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("digit.png"), b"new")
    assert (tmp_path / "digit.png").read_bytes() == b"new"


class Slow:
    """A stream that takes three bytes at a time, as an unbuffered stdout may."""

    def __init__(self, room: int) -> None:
        self.taken, self.room, self.flushed = b"", room, False

    def write(self, content: memoryview) -> int:
        some = bytes(content[: min(3, self.room - len(self.taken))])
        if not some:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.taken += some
        return len(some)

    def flush(self) -> None:
        self.flushed = True


@pytest.mark.parametrize("size", [0, 1, 3, 10])
def test_all_is_written_to_a_stream_that_takes_little(size: int) -> None:
    stream: Any = Slow(room=10)
    write_all(bytes(range(size)), stream)
    assert stream.taken == bytes(range(size))
    assert stream.flushed


def test_a_stream_that_takes_no_more_is_an_error() -> None:
    stream: Any = Slow(room=10)
    with pytest.raises(OSError, match="No space left"):
        write_all(bytes(11), stream)
    assert len(stream.taken) == 10
