"""The streams and the exit codes of the installed cgan-run."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from cli_runs import HEIGHT, SCRIPT, WIDTH, Command, Draw, pixels, the_error
from folders import names_in

from cgan_runtime import __version__


def test_the_installed_command(cgan_run: Command, folder: Path) -> None:
    home = folder / "home"
    home.mkdir()
    done = cgan_run("--digits", "2026", "--seed", 7, HOME=str(home))
    assert done.returncode == 0
    assert done.stdout == b"digits-2026-seed-7.png  seed 7\n"
    assert done.stderr == b""
    assert pixels(folder / "digits-2026-seed-7.png").shape == (HEIGHT, 4 * WIDTH)
    assert names_in(folder) == ["digits-2026-seed-7.png", "home"]
    assert not list(home.iterdir())


def test_version_and_help(cgan_run: Command) -> None:
    done = cgan_run("--version")
    assert done.stdout.decode() == f"cgan-run {__version__}\n"
    assert done.returncode == 0
    done = cgan_run("--help")
    assert b"cgan-run --digits 2026 --seed 7 --output year.png" in done.stdout
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_picture_on_stdout(cgan_run: Command, draw: Draw, folder: Path) -> None:
    done = cgan_run("--digits", "2026", "--seed", 7, "--output", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert not list(folder.iterdir())
    assert pixels(done.stdout).shape == (HEIGHT, 4 * WIDTH)
    draw("--digits", "2026", "--seed", 7, "--output", "file.png")
    assert done.stdout == (folder / "file.png").read_bytes()


def test_a_path_that_the_stream_cannot_spell(cgan_run: Command, folder: Path) -> None:
    path = os.fsdecode(b"\xff\xc3\xbc.png")
    done = cgan_run("--digit", 3, "--seed", 7, "--output", path, LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    assert pixels(folder / path).shape == (HEIGHT, WIDTH)


USAGE_ERRORS = [
    (["--digit", "10"], "'--digit': 10 is not in the range 0<=x<=9"),
    (["--digit", "-1"], "'--digit': -1 is not in the range 0<=x<=9"),
    (["--digit", "x"], "'--digit': 'x' is not a valid integer"),
    (["--digit", "1.5"], "'--digit': '1.5' is not a valid integer"),
    (["--digits", "20a6"], "'20a6' is not a string of digits such as 2026"),
    (["--digits", ""], "'' is not a string of digits"),
    (["--digits", "-5"], "'-5' is not a string of digits"),
    (["--digits", "2²"], "'2²' is not a string of digits"),
    (["--digit", "3", "--digits", "4"], "--digit and --digits exclude each other"),
    (["--digits", "4", "--digit", "3"], "--digit and --digits exclude each other"),
    (["--label", "3", "--digit", "4"], "--label and --digit exclude each other; give one"),
    (["--digits", "4", "--label", "3"], "--label and --digits exclude each other; give one"),
    (["--label"], "'--label' requires an argument"),
    (["--count", "0"], "'--count': 0 is not in the range"),
    (["--count", "many"], "'--count': 'many' is not a valid integer"),
    (["--seed", "-1"], "'--seed': -1 is not in the range"),
    (["--seed", str(2**64)], f"'--seed': {2**64} is not in the range"),
    (["--start", "-1"], "'--start': -1 is not in the range"),
    (["--start", str(2**63)], f"'--start': {2**63} is not in the range"),
    (["--threads", "0"], "'--threads': 0 is not in the range"),
    (["--threads", "1025"], "'--threads': 1025 is not in the range"),
    (["--scale", "0"], "'--scale': 0 is not in the range"),
    (["--scale", "65"], "'--scale': 65 is not in the range"),
    (["--shard", "0/4"], "'0/4' is not I/N such as 2/4, with I from 1 to N"),
    (["--shard", "5/4"], "'5/4' is not I/N"),
    (["--shard", "2"], "'2' is not I/N"),
    (["--shard", "1/-1"], "'1/-1' is not I/N"),
    (["--columns", "0"], "'--columns': 0 is not in the range"),
    (["--columns", "2", "--format", "npy"], "--columns goes with png, not with npy; leave it out"),
    (["--scale", "2", "--output", "x.npy"], "--scale goes with png and pngs, not with npy"),
    (["--scale", "1", "--format", "idx"], "--scale goes with png and pngs, not with idx"),
    (["--split", "train"], "--split goes with idx and idx-gz, not with png"),
    (["--split", "test", "--format", "idx"], "'test' is not one of 'train', 't10k'"),
    (["--format", "jpg"], "'jpg' is not one of 'png', 'npy', 'pngs', 'idx', 'idx-gz'"),
    (["--format", "idx", "--output", "-"], "stdout takes png or npy; give --output a folder's"),
    (["--format", "pngs", "--output", "-"], "stdout takes png or npy"),
    (["--output", "digit.jpg"], "'digit.jpg' names no known format; end it in .png or .npy"),
    (["--output", "digit"], "'digit' names no known format"),
    (["--output", ""], "'' names no known format"),
    (["--output"], "'--output' requires an argument"),
    (["--frobnicate"], "No such option"),
    (["9"], "unexpected extra argument"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), USAGE_ERRORS, ids=[" ".join(each) for each, _ in USAGE_ERRORS]
)
def test_wrong_usage(cgan_run: Command, folder: Path, arguments: list[str], message: str) -> None:
    done = cgan_run(*arguments)
    error = the_error(done)
    assert message in error
    assert error.endswith("(see cgan-run --help)")
    assert done.returncode == 2
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "error: there is no model {path}; check the path, or leave it out"),
        ("directory", "error: cannot read the model {path}: Is a directory; "),
        ("empty", "error: {path} is empty; copy or export it again"),
        ("truncated", "error: {path} is not an ONNX model, is truncated or damaged"),
        ("text", "error: {path} is not an ONNX model, is truncated or damaged"),
        ("foreign", "error: {path} is an ONNX model, but not one that cgan-export wrote"),
        ("newer", "error: {path} follows model contract 2, this cgan-runtime knows 1; upgrade"),
        ("retyped", "error: {path} breaks the model contract: its input is "),
    ],
)
def test_a_bad_model(
    cgan_run: Command, folder: Path, bad_models: Mapping[str, Path], fault: str, message: str
) -> None:
    done = cgan_run("--digit", 3, "--model", bad_models[fault])
    assert the_error(done).startswith(message.format(path=bad_models[fault]))
    assert done.returncode == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("none/digit.png", "No such file or directory; choose another place"),
        ("file/digit.png", "Not a directory; choose another place"),
        ("folder.png", "is no ordinary file; choose another place"),
        ("folder.npy", "is no ordinary file; choose another place"),
        (f"{'n' * 300}.png", "File name too long; choose another place"),
        ("/proc/digit.png", "; choose another place"),  # where even root may not write
    ],
    ids=["none", "below a file", "folder.png", "folder.npy", "long", "read-only"],
)
def test_a_place_that_cannot_be_written(
    cgan_run: Command, folder: Path, output: str, reason: str
) -> None:
    (folder / "folder.png").mkdir()
    (folder / "folder.npy").mkdir()
    (folder / "file").touch()
    before = sorted(folder.rglob("*"))
    done = cgan_run("--digit", 3, "--output", output)
    error = the_error(done)
    assert output in error
    assert error.endswith(reason)
    assert done.returncode == 1
    assert sorted(folder.rglob("*")) == before


def test_cuda_on_a_cpu_build(cgan_run: Command, folder: Path) -> None:
    done = cgan_run("--digit", 3, "--provider", "cuda")
    assert "pip install 'cgan-runtime[gpu]', or use --provider cpu" in the_error(done)
    assert done.returncode == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize("provider", ["tpu", "CUDA", ""])
def test_a_provider_that_is_not_offered(cgan_run: Command, folder: Path, provider: str) -> None:
    done = cgan_run("--digit", 3, "--provider", provider)
    assert the_error(done) == f"error: no provider {provider!r} here; choose auto, cpu"
    assert done.returncode == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize("count", [10**15, 10**30])
def test_a_picture_of_more_than_readers_take(cgan_run: Command, folder: Path, count: int) -> None:
    done = cgan_run("--digit", 3, "--count", count)
    assert the_error(done)
    assert done.returncode in (1, 2)
    assert not list(folder.iterdir())


def test_an_array_that_the_disk_does_not_hold(tiny_model: Path, folder: Path) -> None:
    limit = "import resource as r, os, sys; r.setrlimit(r.RLIMIT_FSIZE, (10**6, 10**6)); "
    done = subprocess.run(
        [sys.executable, "-c", f"{limit}os.execv(sys.argv[1], sys.argv[1:])", SCRIPT,
         "--model", tiny_model, "--digit", "3", "--count", "100000", "--output", "large.npy"],
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert the_error(done) == "error: cannot write large.npy: File too large; choose another place"
    assert done.returncode == 1
    assert not list(folder.iterdir())


def test_an_array_on_stdout(cgan_run: Command, draw: Draw, folder: Path) -> None:
    done = cgan_run("--digit", 3, "--count", 3, "--seed", 7, "--format", "npy", "--output", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    draw("--digit", 3, "--count", 3, "--seed", 7, "--output", "same.npy")
    assert done.stdout == (folder / "same.npy").read_bytes()


def test_images_beyond_the_last(cgan_run: Command, folder: Path) -> None:
    done = cgan_run("--digits", "34", "--start", 2**63 - 1)
    assert f"images {2**63 - 1} to {2**63 + 1} are out of range" in the_error(done)
    assert done.returncode == 1
    assert not list(folder.iterdir())


def test_debug_shows_the_traceback(cgan_run: Command, folder: Path) -> None:
    done = cgan_run("--model", "none.onnx", "--debug")
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"Traceback (most recent call last):")
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("cgan_runtime.errors.ModelError: there is no model none.onnx")
    assert not list(folder.iterdir())


def test_a_reader_that_went_away(tiny_model: Path, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [SCRIPT, "--model", tiny_model, "--digit", "3", "--output", "-"],
            cwd=folder,
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("output", ["-", "digit.png"])
def test_a_stdout_that_is_full(tiny_model: Path, folder: Path, output: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [SCRIPT, "--model", tiny_model, "--digit", "3", "--output", output],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")


def test_a_stdout_that_is_closed(tiny_model: Path, folder: Path) -> None:
    """As a service may have it."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" --model "$1" --digit 3 --seed 7 >&-', SCRIPT, tiny_model],
        cwd=folder,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert pixels(folder / "digit-3-seed-7.png").shape == (HEIGHT, WIDTH)


def test_an_interrupt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = folder / "model.onnx"
    os.mkfifo(model)  # a file that takes its time
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # else a child may ignore it
    try:
        running = subprocess.Popen(
            [SCRIPT, "--model", model, "--digit", "3"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with model.open("wb"):  # opens when the command does
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert out == b""
    assert err.decode().split("\n")[-2:] == ["error: interrupted", ""]
    assert b"Traceback" not in err
    assert list(folder.iterdir()) == [model]
