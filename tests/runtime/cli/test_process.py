"""The installed cgan-run as a process: its streams, signals and environment."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_runs import HEIGHT, SCRIPT, WIDTH, names_in, read_png
from commands import Command

from cgan_runtime import __version__


def test_installed_command_writes_nothing_but_its_output(cgan_run: Command, folder: Path) -> None:
    home = folder / "home"
    home.mkdir()
    done = cgan_run("--digits", "2026", "--seed", 7, HOME=str(home))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"digits-2026-seed-7.png  seed 7\n"
    assert read_png(folder / "digits-2026-seed-7.png").shape == (HEIGHT, 4 * WIDTH)
    assert names_in(folder) == ["digits-2026-seed-7.png", "home"]
    assert not list(home.iterdir())


def test_version_is_printed(cgan_run: Command) -> None:
    assert cgan_run("--version").stdout.decode() == f"cgan-run {__version__}\n"


def test_path_that_stdout_cannot_encode_is_written(cgan_run: Command, folder: Path) -> None:
    path = os.fsdecode(b"\xff\xc3\xbc.png")
    done = cgan_run("--digit", 3, "--seed", 7, "--output", path, LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    assert read_png(folder / path).shape == (HEIGHT, WIDTH)


def start(model: Path, folder: Path, output: str, **options: Any) -> Any:
    command = [str(SCRIPT), "--model", str(model), "--digit", "3", "--output", output]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, **options)


def test_closed_stdout_does_not_prevent_the_output_file(tiny_model: Path, folder: Path) -> None:
    process = start(tiny_model, folder, "a.png", preexec_fn=lambda: os.close(1))
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, b"")
    assert read_png(folder / "a.png").shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "error: interrupted\n"),
        (signal.SIGTERM, 143, "error: terminated\n"),
        (signal.SIGHUP, 129, "error: terminated\n"),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_signals_end_the_command_with_their_exit_code(
    folder: Path, number: int, code: int, message: str
) -> None:
    model = folder / "model.onnx"
    os.mkfifo(model)  # reading it blocks until the signal arrives
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child inherits SIG_IGN
    process = start(model, folder, "a.png", stdout=subprocess.PIPE)
    signal.signal(signal.SIGINT, before)
    with model.open("wb"):  # blocks until the command opens the other end
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (code, b"")
    assert stderr.decode().lstrip("\n") == message
    assert list(folder.iterdir()) == [model]
