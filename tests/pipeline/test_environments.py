"""Unusual homes, locales, terminals, file names, time zones and Python options change nothing."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import COMMANDS, REQUIRED, Command, in_one_process
from terminals import run_on_terminal

from cgan_runtime import ImageGenerator
from cgan_runtime.errors import OutputError
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_training.cli.common import default_cache_dir
from cgan_training.data import Dataset
from cgan_training.evaluation.classifier import load_or_train_classifier
from cgan_training.model_file import load_model

GENERATE = ("cgan-run", "--digits", "2026", "--seed", "7")
BULK = ("cgan-bulk", "--count", "200", "--seed", "7", "--workers", "1", "--output", "bulk")
# A file name with invalid UTF-8, control characters, quotes, spaces and formulas.
HOSTILE_NAME = os.fsdecode(b"-\xff new\nline\x1b[1m '\" \\ $\\frac$ \xc3\xbc")
Run = Callable[..., Any]  # returns the Result of conftest.py
Mount = Callable[..., tuple[str, ...]]
Variables = dict[str, str | None]


@pytest.fixture(scope="module")
def pixels() -> bytes:
    """The pixel values of the images that GENERATE generates."""
    with ImageGenerator(provider="cpu", threads=1) as generator:
        return generator.generate([2, 0, 2, 6], seed=7).tobytes()


def run_in_terminal(
    words: tuple[str, ...], folder: Path, variables: Mapping[str, str | None]
) -> tuple[int, str]:
    """Run a command on a terminal with changed variables; return its exit code and its output."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    changed = {**os.environ, **variables, "PATH": path}
    env = {key: value for key, value in changed.items() if value is not None}
    code, output = run_on_terminal(words, cwd=folder, env=env)
    return code, output.decode(errors="replace")


@pytest.mark.parametrize("home", [None, "file", "relative/home"])
def test_images_do_not_depend_on_the_home_directory(
    run: Run, tmp_path: Path, pixels: bytes, home: str | None
) -> None:
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    home_path = str(tmp_path / home) if home == "file" else home
    variables = {"HOME": home_path, "XDG_CACHE_HOME": None, "XDG_CONFIG_HOME": None}
    done = run(*GENERATE, "--format", "npy", "--output", "-", env=variables)
    done.require_success()
    assert done.stdout.endswith(pixels)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_user_without_a_home_directory(run: Run, tmp_path: Path) -> None:
    """Containers often run with a user id that the system does not know, and without HOME."""
    words = ("unshare", "--user", "--map-user=54321")
    if run(*words, "id", "-u").stdout != b"54321\n":
        pytest.skip("this system allows no user namespaces")
    variables = {"HOME": None, "XDG_CACHE_HOME": None}
    run(*words, *GENERATE, "--output", "a.png", env=variables).require_success()
    done = run(*words, "cgan-export", "none.pt", "a.onnx", env=variables)
    assert done.error().startswith("error: there is no model none.pt; ")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_classifier_cache_without_a_home_directory(
    monkeypatch: pytest.MonkeyPatch, digits: Dataset
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    folder = default_cache_dir()
    with pytest.raises(OutputError, match="Not a directory; choose another --cache-dir"):
        load_or_train_classifier(digits, folder)


def test_shared_memory_that_cannot_be_written(
    run: Run, with_mount: Mount, tmp_path: Path, small_toml: Path, pixels: bytes
) -> None:
    words = with_mount("mount -t tmpfs -o ro none /dev/shm")
    done = run(*words, *GENERATE, "--format", "npy", "--output", "-")
    done.require_success()
    assert done.stdout.endswith(pixels)
    run(*words, *BULK, "--format", "idx").require_success()
    train = ("cgan-train", "--recipe", str(small_toml), "--dataset", "optdigits", "--threads", "1")
    variables = {"TERM": "dumb", "COLUMNS": "1", "NO_COLOR": "1"}
    code, output = run_in_terminal((*words, *train, "--run-dir", "run"), tmp_path, variables)
    assert code == 0, output
    assert "run/model.pt" in output.splitlines()
    assert "Traceback" not in output
    assert "Warning" not in output
    load_model(tmp_path / "run")


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "xx_YY.nonsense", "PYTHONIOENCODING": "utf-8:strict"},
        {"PYTHONIOENCODING": "cp437"},
    ],
    ids=str,
)
def test_images_do_not_depend_on_the_locale(
    run: Run, tmp_path: Path, pixels: bytes, variables: Variables
) -> None:
    """Printed paths may contain characters that stdout cannot encode."""
    shutil.copy(SHIPPED_MODEL, tmp_path / f"{HOSTILE_NAME}.onnx")
    done = run(
        *GENERATE,
        "--model",
        f"./{HOSTILE_NAME}.onnx",
        "--output",
        f"./{HOSTILE_NAME}.npy",
        env=variables,
    )
    done.require_success()
    assert (tmp_path / f"{HOSTILE_NAME}.npy").read_bytes().endswith(pixels)
    if "utf-8:strict" in variables.values():
        assert done.stdout == os.fsencode(f"./{HOSTILE_NAME}.npy  seed 7\n")
    done = run("cgan-run", "--model", f"{HOSTILE_NAME}.none", env=variables)
    assert done.error().startswith("error: there is no model")


def test_paths_may_have_any_characters(
    call: Command, tmp_path: Path, small_toml: Path, classifier_cache: Path
) -> None:
    """This holds for every path on a command line, except the name of a Triton model."""
    shutil.copy(SHIPPED_MODEL, tmp_path / f"{HOSTILE_NAME}.onnx")
    small_toml.rename(tmp_path / f"{HOSTILE_NAME}.toml")
    shutil.copytree(classifier_cache, tmp_path / f"{HOSTILE_NAME}-cache")
    model, run = ("--model", f"./{HOSTILE_NAME}.onnx"), f"./{HOSTILE_NAME}-run"
    idx = ("--count", "150", "--format", "idx", "--output", f"./{HOSTILE_NAME}")
    folders = ("--data-dir", f"./{HOSTILE_NAME}-data", "--run-dir", run)
    train = (
        "--recipe",
        f"./{HOSTILE_NAME}.toml",
        "--dataset",
        f"./{HOSTILE_NAME}/MNIST/raw",
        "--epochs",
        "1",
    )
    triton = ("--card", "--triton", f"./{HOSTILE_NAME}-triton", run, "plain.onnx")
    pictures = ("--cache-dir", f"./{HOSTILE_NAME}-cache", "--output", f"./{HOSTILE_NAME}-pictures")
    for words, printed in (
        (
            ("cgan-run", "--digits", "0123456789", "--seed", "1", *model, *idx),
            f"./{HOSTILE_NAME}  seed 1",
        ),
        (("cgan-check", *model, "--threads", "1"), None),
        ((*BULK[:-1], f"./{HOSTILE_NAME}-bulk", *model), None),
        (("cgan-train", *train, *folders, "--threads", "1"), f"{HOSTILE_NAME}-run/model.pt"),
        (("cgan-train", "--resume", run), f"{HOSTILE_NAME}-run/model.pt"),
        (("cgan-export", *triton), None),
        (("cgan-export", "--card", run, f"./{HOSTILE_NAME}-out.onnx"), None),
        (
            (
                "cgan-eval",
                f"./{HOSTILE_NAME}-out.onnx",
                "--quick",
                "--dataset",
                "optdigits",
                *pictures,
            ),
            None,
        ),
    ):
        done = call(*words)
        assert done.returncode == 0, done.stderr
        assert printed is None or done.stdout == os.fsencode(f"{printed}\n")
    config = json.loads((tmp_path / run / "config.json").read_text())
    assert config["dataset"]["data_dir"] == str(tmp_path / f"{HOSTILE_NAME}-data")
    for folder in (
        f"{HOSTILE_NAME}-bulk/shards",
        f"{HOSTILE_NAME}-triton/plain/1",
        f"{HOSTILE_NAME}-pictures",
    ):
        assert [*(tmp_path / folder).iterdir()]
    assert (tmp_path / f"{HOSTILE_NAME}-out.onnx").read_bytes() == (
        tmp_path / "plain.onnx"
    ).read_bytes()


@pytest.mark.parametrize(
    "variables",
    [
        {"TERM": None, "COLUMNS": None, "LINES": None},
        {"TERM": "no such terminal", "COLUMNS": "1", "LINES": "1", "NO_COLOR": "1"},
        {"COLUMNS": "100000000", "FORCE_COLOR": "1"},
    ],
    ids=str,
)
def test_output_is_plain_text_on_any_terminal(
    tmp_path: Path, pixels: bytes, variables: Variables
) -> None:
    code, output = run_in_terminal((*GENERATE, "--output", "a.npy"), tmp_path, variables)
    assert (code, output.splitlines()[-1]) == (0, "a.npy  seed 7")
    assert "\x1b" not in output
    assert (tmp_path / "a.npy").read_bytes().endswith(pixels)
    many = ("cgan-run", "--digit", "3", "--count", "30000", "--output", "b.npy", "--no-preview")
    code, output = run_in_terminal(many, tmp_path, variables)  # with a progress bar
    assert code == 0, output
    assert len(np.load(tmp_path / "b.npy")) == 30_000


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_bulk_works_with_closed_streams(run: Run, closed: str) -> None:
    """With closed streams, the workers' pipes get the file descriptors 0 to 2."""
    run("sh", "-c", f'exec "$@" {closed}', "sh", *BULK).require_success()


@pytest.mark.parametrize("name", ["cgan-run", "cgan-export"])
def test_a_memory_limit_is_reported(run: Run, tmp_path: Path, name: str) -> None:
    """Without this check, libraries end the process with their own messages."""
    limited = ("bash", "-c", 'ulimit -c 0 -v 100000; exec "$@"', "bash", name)
    error = run(*limited, *REQUIRED[name]).error()
    assert error.startswith("error: the address space is limited to 97 MiB (ulimit -v), but ")
    run(*limited, "--help").require_success()
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("kind", ["png", "idx-gz"])
def test_the_time_zone_changes_no_byte(run: Run, tmp_path: Path, kind: str) -> None:
    contents = []
    for index, zone in enumerate(("Pacific/Kiritimati", "<odd>-26:59:59")):
        folder = tmp_path / str(index)
        folder.mkdir()
        done = run(*GENERATE, "--format", kind, "--output", f"{index}/a", env={"TZ": zone})
        done.require_success()
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        contents.append([(path.name, path.read_bytes()) for path in files])
    assert contents[0]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_does_not_need_docstrings(run: Run, call: Command, name: str) -> None:
    expected, optimized = call(name, "--help"), run(name, "--help", env={"PYTHONOPTIMIZE": "2"})
    optimized.require_success()
    assert optimized.stdout == expected.stdout
    assert b"Examples:" in expected.stdout


def test_no_command_causes_a_warning(
    run: Run, with_mount: Mount, tmp_path: Path, small_toml: Path
) -> None:
    """With -W error, without locale or time zone, and with a read-only home directory."""
    home = tmp_path / "home"
    home.mkdir()
    words = with_mount(f"mount --bind -o ro '{home}' '{home}'")
    env: Variables = {"PYTHONWARNINGS": "error", "HOME": str(home), "LC_ALL": "C", "TZ": "no/zone"}
    env |= dict.fromkeys(("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"))
    train = ("--recipe", small_toml, "--dataset", "optdigits", "--threads", 1, "--epochs", 1)
    commands = in_one_process(
        (*GENERATE, "--output", "a.png"),
        ("cgan-check", "--threads", 1),
        BULK,
        ("cgan-train", *train, "--run-dir", "run"),
        ("cgan-export", "run", "a.onnx"),
    )
    done = run(*words, *commands, env=env)
    assert done.code == 0, done.stderr
    assert len(done.stderr.splitlines()) == 9, done.stderr  # progress of training and export
    assert not [*home.iterdir()]
