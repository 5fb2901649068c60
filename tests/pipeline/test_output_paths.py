"""Full and read-only disks, deleted folders, closed streams and signals, as the kernel has them."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BIN = Path(sys.executable).parent
OLD = b"previous content"
TERMINATED = 143
IMAGES, BYTES = 100, 78_528  # of the .npy file
GENERATE = ("cgan-run", "--digit", "3", "--seed", "7", "--threads", "1", "--count", str(IMAGES))
TO_FILE = (*GENERATE, "--output", "a.npy")
Run = Callable[..., Any]  # returns the Result of conftest.py
Mount = Callable[..., tuple[str, ...]]


@pytest.mark.parametrize("size", [0, BYTES - 1])
def test_a_limit_on_the_file_size_keeps_the_old_file(run: Run, tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(OLD)
    error = run(*TO_FILE, file_size=size).error()
    assert error == "error: cannot write a.npy: File too large; choose another path"
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == OLD


def test_a_file_of_exactly_the_size_limit_is_written(run: Run, tmp_path: Path) -> None:
    assert run(*TO_FILE, file_size=BYTES).code == 0
    assert np.load(tmp_path / "a.npy").shape == (IMAGES, 1, 28, 28)


@pytest.mark.parametrize(
    ("kilobytes", "output", "reason"),
    [
        (4, "a.npy", "it needs at least 78,400 bytes, and the disk has "),
        (80, "a.npy", "it needs at least 78,400 bytes, and the disk has "),
        (12, "a.png", "No space left on device; "),  # a PNG's size is unknown before it is written
        (84, "a.npy", ""),
    ],
)
def test_a_full_disk(
    run: Run, with_mount: Mount, tmp_path: Path, kilobytes: int, output: str, reason: str
) -> None:
    """The disk holds an old file of four kilobytes; a new array needs 80."""
    mount = f"mount -t tmpfs -o size={kilobytes}k none {tmp_path} && cd {tmp_path}"
    words = " ".join((*GENERATE, "--output", output))
    script = f"echo old > {output}; {words} 2>&1; echo $?; ls -A; cat *"
    done = run(*with_mount(mount), "sh", "-c", script)
    line, code, rest = done.stdout.split(b"\n", 2)
    if reason:
        assert line.decode().startswith(f"error: cannot write {output}: {reason}")
        assert (code, rest.decode()) == (b"1", f"{output}\nold\n")
    else:
        assert (line, code) == (b"a.npy  seed 7", b"0")
        assert rest.startswith(b"a.npy\n")


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (TO_FILE, "a.npy"),
        (("cgan-run", "--digit", "3", "--seed", "7"), "digit-3-seed-7.png"),
    ],
    ids=lambda it: it if isinstance(it, str) else it[0],
)
def test_a_read_only_folder(
    run: Run, with_mount: Mount, tmp_path: Path, words: tuple[str, ...], path: str
) -> None:
    """A read-only mount also applies to root."""
    (tmp_path / "a.npy").write_bytes(OLD)
    mount = f"mount --bind -o ro {tmp_path} {tmp_path} && cd {tmp_path}"
    error = run(*with_mount(mount), *words).error()
    assert error.startswith(f"error: cannot write {path}: Read-only file system; choose another ")
    assert [*tmp_path.iterdir()] == [tmp_path / "a.npy"]
    assert (tmp_path / "a.npy").read_bytes() == OLD


def test_a_deleted_working_directory(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = "cd gone && rmdir ../gone && cgan-run --digit 3 --output a.png"
    error = run("sh", "-c", script).error()
    assert re.fullmatch(r"error: .*: No such file or directory; .*", error)
    assert not [*tmp_path.iterdir()]


FULL = "No space left on device; "


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        # When the reader ends first, the exit code is 1, but no error is printed.
        ("PYTHONUNBUFFERED=1 cgan-run --digit 3 --count 5000 --output - | head -c 8", 1, None),
        ("cgan-check --threads 1 --json | head -c 1", 0, None),  # the report fits into the pipe
        ("cgan-train --list-recipes > /dev/full", 1, FULL),
        ("cgan-eval none.pt >&-", 1, "there is no model none.pt; "),
        ("cgan-export none.pt a.onnx > /dev/full", 1, "there is no model none.pt; "),
    ],
)
def test_a_closed_or_full_output(
    run: Run, tmp_path: Path, line: str, code: int, error: str | None
) -> None:
    done = run("bash", "-c", f"set -o pipefail; {line}")
    assert done.code == code, done.stderr
    if error is None:
        assert done.stderr == b""
    else:
        (message,) = done.stderr.decode().splitlines()
        assert message.startswith("error: ")
        assert error in message
    assert not [*tmp_path.iterdir()]


def test_a_signal_at_any_moment_leaves_a_complete_file(tmp_path: Path) -> None:
    """The signal arrives between the interpreter's start and the last write."""
    words = [str(BIN / "cgan-run"), *GENERATE[1:-1], "30000", "--output", "a.npy"]
    path, codes = tmp_path / "a.npy", []
    for moment in range(5):
        path.write_bytes(OLD)
        process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        time.sleep(0.2 * moment)
        process.terminate()
        _, stderr = process.communicate(timeout=60)
        codes.append(process.returncode)
        assert [*tmp_path.iterdir()] == [path]
        if process.returncode == TERMINATED:
            assert stderr == "error: terminated\n"
        elif process.returncode != 0:
            assert process.returncode == -signal.SIGTERM  # the command had not started
            assert path.read_bytes() == OLD
        if path.read_bytes() != OLD:
            assert len(np.load(path)) == 30_000
    assert TERMINATED in codes
