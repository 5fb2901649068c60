"""Nothing is sent anywhere: each command in a network namespace without interfaces; no socket."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
Offline = Callable[..., "subprocess.CompletedProcess[str]"]
# Python tells a hook of every socket that is made and every name that is looked up.
LISTENING = """
    import sys

    def hook(event, arguments):
        if event.partition(".")[0] in ("socket", "urllib", "http"):
            raise SystemExit(f"{event} {arguments}")

    sys.addaudithook(hook)
"""


@pytest.fixture
def offline(tmp_path: Path) -> Offline:
    """Run a command where there is no network at all, not even 127.0.0.1."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], check=False).returncode:
        pytest.skip("this system makes no network namespaces")

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        name, *rest = map(str, arguments)
        return subprocess.run(
            [unshare, "-rn", str(BIN / name), *rest],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def test_there_is_no_network_in_it(offline: Offline) -> None:
    code = "import socket; print(socket.create_connection(('127.0.0.1', 9)))"
    assert "Network is unreachable" in offline("python", "-c", code).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("cgan-run", "--digit", 9, "--provider", "cpu"),
        ("cgan-check", "--provider", "cpu"),
        ("cgan-bulk", "--count", 300, "--shard-images", 100, "--format", "idx", "--output", "b"),
    ],
    ids=lambda it: it[0],
)
def test_the_runtime_works(offline: Offline, arguments: tuple[object, ...]) -> None:
    done = offline(*arguments)
    assert done.returncode == 0, done.stderr


def test_training_and_export_work(
    offline: Offline, small_toml: Path, judge_cache: Path, tmp_path: Path
) -> None:
    train = ("--recipe", small_toml, "--dataset", "optdigits", "--run-dir", "run")
    judge = ("--cache-dir", judge_cache)
    for arguments in (
        ("cgan-train", *train, "--threads", 1),
        ("cgan-export", "run", "digits.onnx", "--precision", "int8", *judge),
        ("cgan-eval", "digits.onnx", *judge, "--quick", "--threads", 1),
    ):
        done = offline(*arguments)
        assert done.returncode == 0, f"{arguments[0]}: {done.stderr}"


def test_a_download_that_cannot_be_made_is_told(
    offline: Offline, small_toml: Path, tmp_path: Path
) -> None:
    data = ("--dataset", "mnist", "--data-dir", tmp_path / "data")
    done = offline("cgan-train", "--recipe", small_toml, *data, "--run-dir", "run")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["cli", "check_cli"])
def test_the_runtime_opens_no_socket(module: str, tmp_path: Path) -> None:
    arguments = ["--provider", "cpu", *(["--digit", "9"] if module == "cli" else [])]
    code = textwrap.dedent(LISTENING)
    code += f"import cgan_runtime.{module} as it; sys.argv[1:] = {arguments}; it.main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
