"""Atomic writes, temporary files and file names."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write, require_space, to_file_name, write_all


def write(path: Path, *parts: bytes | BaseException) -> None:
    """Write the parts one by one; an exception among them is raised."""
    with atomic_write(path) as file:
        for part in parts:
            if isinstance(part, BaseException):
                raise part
            file.write(part)


def test_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    with atomic_write(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_old_file_stays_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        with atomic_write(path) as file:
            file.write(b"new")
            file.flush()
            assert path.read_bytes() == b"old"
        assert reader.read() == b"old"  # from the replaced file
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyError("key"), KeyboardInterrupt()], ids=repr)
def test_exception_keeps_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(b"old")
    with pytest.raises(type(error)):
        write(path, b"half", error)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"cannot write .*digit\.png: .*; choose another path"):
        write(path, b"half", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["none/digit.png", "file/digit.png", f"{300 * 'n'}.png"], ids=["none", "file", "long"]
)
def test_unwritable_path_is_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        write(tmp_path / name, b"new")
    assert str(caught.value).startswith(f"cannot write {tmp_path / name}: ")
    assert str(caught.value).endswith("; choose another path")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_null_character_in_a_path_is_reported() -> None:
    with pytest.raises(OutputError, match="'a\\\\x00' contains a null character; choose another"):
        write(Path("a\0"), b"new")


def test_longest_name_of_the_file_system_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 251}.png"
    path.touch()
    write(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_read_only_folder_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The calls are patched because root ignores permissions."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        if code == errno.EROFS:
            patch.setattr(Path, "unlink", fail)
        with pytest.raises(OutputError, match=f"{os.strerror(code)}; choose another path$"):
            write(tmp_path / "digit.png", b"new")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to a device"])
def test_path_that_is_not_a_regular_file_is_rejected(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "digit.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    mode = path.lstat().st_mode
    with pytest.raises(OutputError, match=r"png is not a regular file; choose another path"):
        write(path, b"new")
    assert path.lstat().st_mode == mode
    assert list(tmp_path.iterdir()) == [path]


def test_device_is_not_replaced() -> None:
    null = Path("/dev/null")
    before = null.stat()
    with pytest.raises(OutputError, match="/dev/null is not a regular file"):
        write(null, b"new")
    after = null.stat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert not list(Path("/dev").glob(".*.part"))


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "real.png", tmp_path / "digit.png"
    link.symlink_to(Path("elsewhere") / "real.png")
    for content in (b"one", b"two"):  # at first the target does not exist
        write(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert list((tmp_path / "elsewhere").iterdir()) == [target]


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("before", [None, 0o600, 0o666, 0o444, 0o755])
def test_new_file_follows_the_umask_and_a_replaced_one_keeps_its_permissions(
    tmp_path: Path, before: int | None
) -> None:
    path = tmp_path / "digit.png"
    if before is not None:
        path.touch()
        path.chmod(before)
    write(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == (before or 0o640)


def temporary_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.part"))


def killed_writer(path: Path, writers: int = 1) -> None:
    """Kill a process that has `writers` unfinished writes of one path."""
    code = (
        "import contextlib, os, pathlib, sys\nfrom cgan_runtime.files import atomic_write\n"
        "with contextlib.ExitStack() as stack:\n"
        "    for _ in range(int(sys.argv[2])):\n"
        "        stack.enter_context(atomic_write(pathlib.Path(sys.argv[1]))).write(b'half')\n"
        "    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, path, str(writers)], check=False)


@pytest.mark.parametrize("writers", [1, 3])
def test_files_of_killed_writers_are_removed_by_the_next_one(tmp_path: Path, writers: int) -> None:
    path = tmp_path / "digit.png"
    killed_writer(path, writers)
    assert len(temporary_files(tmp_path)) == writers
    write(tmp_path / "another.png", b"new")
    assert len(temporary_files(tmp_path)) == writers
    with pytest.raises(ValueError, match="later"):  # also if it fails
        write(path, ValueError("later"))
    assert not temporary_files(tmp_path)


def test_files_of_running_writers_stay(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write(b"first")
        second.write(b"second")
        write(path, b"third")
        assert len(temporary_files(tmp_path)) == 2
        assert path.read_bytes() == b"third"
    assert path.read_bytes() == b"first"  # the last one that ended
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_only_regular_files_with_a_temporary_name_are_removed(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "digit.png", tmp_path / "other"
    killed_writer(path)
    (name,) = temporary_files(tmp_path)
    name.unlink()
    other.touch()
    if kind == "folder":
        name.mkdir()
    elif kind == "pipe":
        os.mkfifo(name)
    else:
        name.symlink_to(other)
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert temporary_files(tmp_path) == [name]
    assert other.read_bytes() == b""


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_keeps_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("cgan_runtime.files.fcntl.flock", fail)
    path = tmp_path / "digit.png"
    killed_writer(path)
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert len(temporary_files(tmp_path)) == 1


def test_name_without_a_folder_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("digit.png"), b"new")
    assert (tmp_path / "digit.png").read_bytes() == b"new"


class SlowStream:
    """Accepts three bytes at a time, as an unbuffered stdout may, up to a capacity."""

    def __init__(self, capacity: int) -> None:
        self.written, self.capacity, self.flushed = b"", capacity, False

    def write(self, content: memoryview) -> int:
        part = bytes(content[: min(3, self.capacity - len(self.written))])
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written += part
        return len(part)

    def flush(self) -> None:
        self.flushed = True


@pytest.mark.parametrize("size", [0, 1, 3, 10])
def test_write_all_repeats_partial_writes(size: int) -> None:
    stream: Any = SlowStream(capacity=10)
    write_all(bytes(range(size)), stream)
    assert stream.written == bytes(range(size))
    assert stream.flushed


def test_write_all_reports_a_full_stream() -> None:
    stream: Any = SlowStream(capacity=10)
    with pytest.raises(OSError, match="No space left"):
        write_all(bytes(11), stream)
    assert len(stream.written) == 10


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("9", "9"),
        ("Ankle boot", "Ankle-boot"),
        ("T-shirt/top", "T-shirt-top"),
        ("+", "class"),
        ("お茶", "お茶"),
        ("../..", "class"),
        ("a\n\x1b[1m\0b\ud800", "a-1m-b"),
        ("cafe\u0301", "caf\xe9"),
        ("हिन्दी", "हिन्दी"),
        (300 * "n", 150 * "n"),
        (300 * "茶", 50 * "茶"),
        (100 * "木é", 30 * "木é"),
    ],
    ids=lambda name: ascii(name[:12]),
)
def test_class_names_become_safe_file_names(name: str, expected: str) -> None:
    assert to_file_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my_set-1.5", "my_set-1.5"),
        (".hidden", "hidden"),
        ("..", "default"),
        ("a/../b: c", "a-..-b-c"),
        ("+", "default"),
    ],
)
def test_other_characters_of_a_file_name_can_be_kept(name: str, expected: str) -> None:
    assert to_file_name(name, kept="_.", default="default") == expected


def test_the_exception_of_a_signal_handler_is_not_an_error_of_the_path(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError), atomic_write(tmp_path / "a.txt"):
        raise TimeoutError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["a.png", "none/below/a.png", "/none/a.png", "\0", "n" * 300])
def test_a_file_larger_than_the_free_space_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    require_space(Path(path), 1)
    with pytest.raises(OutputError) as caught:
        require_space(Path(path), 10**18)
    message = str(caught.value)
    assert message.startswith(f"cannot write {path}: it needs at least 1,000,000,000.0 GB, and ")
    assert message.endswith(" GB free; generate fewer images, or choose another disk")
