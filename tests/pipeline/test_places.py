"""Places that are full, read-only, gone or closed: as the kernel makes them, for real commands."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cgan_training.run.checkpoint import load_checkpoint

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
BIN = Path(sys.executable).parent
OLD = b"what was there before"
IMAGES = 100  # 78,528 bytes as .npy
DRAW = ["cgan-run", "--digit", "3", "--seed", "7", "--threads", "1", "--count", str(IMAGES)]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in a folder, under limits."""

    def start(
        *arguments: str, cwd: Path = tmp_path, limit: int | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        def limited() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.run(
            [BIN / arguments[0], *arguments[1:]],
            cwd=cwd,
            preexec_fn=limited,
            capture_output=True,
            check=False,
            timeout=300,
        )

    return start


def the_error(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Return the one line that a command failed with."""
    assert done.returncode == 1, done.stderr
    *before, line = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert not [each for each in before if "rror" in each or "Traceback" in each]
    return line


@pytest.mark.parametrize("limit", [0, 1, 4096, 78_527])
def test_a_limit_of_the_size_of_files(run: Run, tmp_path: Path, limit: int) -> None:
    place = tmp_path / "a.npy"
    place.write_bytes(OLD)
    done = run(*DRAW, "--output", "a.npy", limit=limit)
    assert the_error(done) == "error: cannot write a.npy: File too large; choose another place"
    assert [*tmp_path.iterdir()] == [place]
    assert place.read_bytes() == OLD
    assert run(*DRAW, "--output", "a.npy", limit=78_528).returncode == 0
    assert np.load(place).shape == (IMAGES, 1, 28, 28)


@pytest.mark.uncovered
@pytest.mark.parametrize("limit", [200, 2000, 20_000])
def test_a_run_under_a_limit_of_the_size_of_files(
    run: Run, tmp_path: Path, small_toml: Path, limit: int
) -> None:
    train = ["cgan-train", "--recipe", str(small_toml), "--dataset", "optdigits"]
    done = run(*train, "--run-dir", "run", "--threads", "1", limit=limit)
    assert re.fullmatch(r"error: cannot write run/.*: File too large; .*", the_error(done))
    assert not [*tmp_path.rglob("*.part")]
    for path in tmp_path.rglob("*.pt"):
        assert path.stat().st_size <= limit
        load_checkpoint(path.parent)


def in_namespace(folder: Path, mount: str, *commands: str) -> str:
    """Run shell commands in a folder under a mount that nobody else sees; return their output."""
    script = "; ".join([f"mount {mount} {folder} && cd {folder} || exit 99", *commands])
    user = ["--map-root-user"] if os.getuid() else []
    done = subprocess.run(
        ["unshare", "--mount", *user, "sh", "-c", script],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=300,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
    )
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr}")
    return done.stdout


DRAW_LINE = f"{' '.join(DRAW)} --output a.npy 2>&1; echo $?"


@pytest.mark.parametrize("kilobytes", [4, 8, 16, 40, 76, 80, 84, 160])
def test_a_full_disk(tmp_path: Path, kilobytes: int) -> None:
    """One of so many kilobytes, of which the old file takes four."""
    said = in_namespace(
        tmp_path,
        f"-t tmpfs -o size={kilobytes}k none",
        "echo old > a.npy",
        DRAW_LINE,
        "ls -A; cat *",
    )
    line, code, rest = said.split("\n", 2)
    if kilobytes >= 84:  # 80 for the new one
        assert (line, code) == ("a.npy  seed 7", "0")
        assert rest.startswith("a.npy\n")
    else:
        assert line == "error: cannot write a.npy: No space left on device; choose another place"
        assert (code, rest) == ("1", "a.npy\nold\n")


def test_a_read_only_folder(tmp_path: Path) -> None:
    """Even for root."""
    (tmp_path / "a.npy").write_text("old\n")
    said = in_namespace(
        tmp_path,
        f"--bind -o ro {tmp_path}",
        DRAW_LINE,
        "cgan-run --digit 3 2>&1 >&-; echo $?",
        "cgan-train --dataset optdigits 2>&1; echo $?",
        "ls -A",
        "cat a.npy",
    ).splitlines()
    assert said[0] == "error: cannot write a.npy: Read-only file system; choose another place"
    assert re.fullmatch(
        r"error: cannot write digit-3-seed-\d+\.png: Read-only file system; choose another place",
        said[2],
    )
    assert said[-4].startswith("error: cannot write runs/digits: Read-only file system; ")
    assert [said[1], said[3], said[-3], *said[-2:]] == ["1", "1", "1", "a.npy", "old"]


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """The one that the command works in."""
    (tmp_path / "gone").mkdir()
    script = f"cd gone && rmdir ../gone && {BIN}/cgan-run --digit 3 --output a.png"
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: cannot .*: No such file or directory; .*\n", done.stderr)
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_goes_while_it_is_trained_into(tmp_path: Path, small_toml: Path) -> None:
    text = small_toml.read_text().replace("epochs = 2", "epochs = 1000")
    small_toml.write_text(text)
    train = ["cgan-train", "--recipe", str(small_toml), "--dataset", "optdigits"]
    process = subprocess.Popen(
        [BIN / train[0], *train[1:], "--threads", "1", "--run-dir", "run"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "run" / "checkpoint.pt").exists():
        time.sleep(0.05)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert re.fullmatch(
        r"error: cannot write run/.*: No such file or directory; .*", said.splitlines()[-1]
    )
    load_checkpoint(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        # Of a reader that has seen enough nothing is said; the code tells that not all went out.
        ("cgan-run --digit 3 --count 5000 --output - | head -c 8", 1, None),
        (
            "PYTHONUNBUFFERED=1 cgan-run --digit 3 --count 5000 --output - | head -c 8",
            *(1, None),
        ),
        ("cgan-run --digit 3 --output - > /dev/full", 1, "No space left on device; make room"),
        ("cgan-run --digit 3 --output a.png > /dev/full", 1, "No space left on device; make room"),
        ("cgan-run --digit 3 --output a.png >&-", 0, None),
        ("cgan-run --digit 3 --output a.png >&- 2>&-", 0, None),
        ("cgan-run --digit 3 --output a.png <&-", 0, None),
        ("cgan-check --threads 1 > /dev/full", 1, "No space left on device; make room"),
        ("cgan-check --threads 1 --json | head -c 1", 0, None),  # it fits the pipe
        ("cgan-run --help > /dev/full", 1, "No space left on device; make room"),
        ("cgan-train --list-recipes > /dev/full", 1, "No space left on device; make room"),
        ("cgan-train --list-recipes >&-", 0, None),
        ("cgan-eval none.pt >&-", 1, "there is no none.pt; "),
        ("cgan-export none.pt a.onnx > /dev/full", 1, "there is no none.pt; "),
    ],
)
def test_an_output_that_is_closed_or_full(
    tmp_path: Path, line: str, code: int, error: str | None
) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
    )
    assert done.returncode == code, done.stderr
    if error is None:
        assert done.stderr == ""
    else:
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("error: ")
        assert error in done.stderr
    assert not [*tmp_path.glob(".*.part")]
    assert all(path.read_bytes().endswith(b"IEND\xaeB`\x82") for path in tmp_path.glob("*.png"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_at_any_moment(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """From the start of the interpreter, where Python itself answers, to the last write."""
    arguments = [*DRAW[1:-1], "30000", "--output", "a.npy"]
    place, endings = tmp_path / "a.npy", []
    for moment in range(16):
        place.write_bytes(OLD)
        process = subprocess.Popen(
            [BIN / "cgan-run", *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        time.sleep(0.1 * moment)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        endings.append(process.returncode)
        assert [*tmp_path.iterdir()] == [place]
        if process.returncode == 0:
            assert len(np.load(place)) == 30_000
        elif process.returncode == code:
            word = {143: "terminated", 130: "interrupted"}[code]
            assert said.lstrip("\n") == f"error: {word}\n"  # Ctrl-C leaves its line first
            assert place.read_bytes() == OLD or len(np.load(place)) == 30_000
        else:
            assert process.returncode in (-number, 1)  # before the command began
            assert place.read_bytes() == OLD
    assert code in endings
