"""Signals while a command imports its packages, and after it has ended."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import COMMANDS, REQUIRED

Run = Callable[..., Any]  # returns the Result of conftest.py
MESSAGES = {
    signal.SIGINT: (130, b"error: interrupted\n"),
    signal.SIGTERM: (143, b"error: terminated\n"),
    signal.SIGHUP: (129, b"error: terminated\n"),
}
# Sends a signal when a module is imported for the first time, from within the import.
SITE = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["CGAN_MODULE"]:
            os.kill(os.getpid(), int(os.environ["CGAN_SIGNAL"]))
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def send_on_import(tmp_path: Path) -> Callable[[str, int], dict[str, str]]:
    """Return the variables that make a command send itself a signal when it imports a module."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)

    def variables(module: str, number: int) -> dict[str, str]:
        return {"PYTHONPATH": str(site), "CGAN_MODULE": module, "CGAN_SIGNAL": str(number)}

    return variables


@pytest.mark.parametrize(
    ("name", "module", "number"),
    [
        *(("cgan-run", "click", number) for number in MESSAGES),
        *((name, "click", signal.SIGINT) for name in COMMANDS if name != "cgan-run"),
        *((name, "onnxruntime", signal.SIGINT) for name in ("cgan-run", "cgan-check", "cgan-bulk")),
        ("cgan-run", "numpy", signal.SIGTERM),
        ("cgan-train", "numpy", signal.SIGINT),
        ("cgan-train", "torch", signal.SIGINT),
        ("cgan-run", "signal", signal.SIGINT),  # before the handlers are installed
    ],
)
def test_signal_during_an_import(
    run: Run, tmp_path: Path, send_on_import: Any, name: str, module: str, number: signal.Signals
) -> None:
    done = run(name, *REQUIRED[name], env=send_on_import(module, number))
    assert (done.code, done.stderr, done.stdout) == (*MESSAGES[number], b"")
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_signals_that_the_caller_ignores_stay_ignored(run: Run, send_on_import: Any) -> None:
    """nohup ignores SIGHUP, and a shell's background jobs ignore SIGINT."""
    for number in MESSAGES:
        ignoring = ("sh", "-c", f"trap '' {int(number)}; exec \"$@\"", "sh")
        done = run(*ignoring, "cgan-run", "--digit", "3", env=send_on_import("numpy", number))
        done.require_success()


def test_commands_handle_signals_before_they_import_anything_else() -> None:
    code = "import sys; before = {*sys.modules}; import cgan_runtime.cli, cgan_training.cli, "
    code += "cgan_export.cli; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    packages = {"cgan_runtime", "cgan_training", "cgan_export"}
    assert {*done.stdout.split()} == packages | {f"{name}.cli" for name in packages}


@pytest.mark.parametrize("package", ["cgan_runtime", "cgan_training"])
def test_a_package_runs_its_first_command(run: Run, package: str) -> None:
    done = run(sys.executable, "-m", package, "--version")
    done.require_success()
    assert done.stdout.startswith({"cgan_runtime": b"cgan-run "}.get(package, b"cgan-train "))
