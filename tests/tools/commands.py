"""The six commands, and functions that run them in this process."""

import io
import sys
from collections.abc import Callable
from importlib import import_module
from subprocess import CompletedProcess
from typing import Any

from api_pages import COMMANDS

from cgan_runtime.cli import runner

__all__ = ["COMMANDS", "REQUIRED", "Command", "in_one_process", "run_in_process"]

Command = Callable[..., "CompletedProcess[bytes]"]  # the fixtures `command` and `call`
REQUIRED: dict[str, tuple[str, ...]] = {  # arguments that each command requires
    "cgan-run": ("--digit", "3"),
    "cgan-bulk": ("--count", "1", "--workers", "1", "--output", "bulk"),
    "cgan-check": (),
    "cgan-train": ("--dataset", "optdigits"),
    "cgan-export": ("a.pt", "a.onnx"),
    "cgan-eval": ("a.onnx",),
}
RUN_ALL = """
import sys
from importlib import import_module
from cgan_runtime.cli import runner
for name, *arguments in {commands}:
    try:
        runner.run(import_module(name).command, arguments)
    except SystemExit as exiting:
        if exiting.code:
            sys.exit(f"{{name}} ended with the exit code {{exiting.code}}")
"""


def in_one_process(*commands: tuple[object, ...]) -> tuple[str, ...]:
    """Return a command line that runs several commands in one process, which imports torch once."""
    lines = [[COMMANDS[str(name)], *map(str, arguments)] for name, *arguments in commands]
    return sys.executable, "-c", RUN_ALL.format(commands=lines)


def run_in_process(name: str, *arguments: str) -> "CompletedProcess[bytes]":
    """Run a command in this process, with UTF-8 output streams."""
    import torch  # most tests of the runtime do not need it

    streams = sys.stdout, sys.stderr
    stdout, stderr = io.BytesIO(), io.BytesIO()
    sys.stdout = io.TextIOWrapper(stdout, "utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(stderr, "utf-8", "backslashreplace", write_through=True)
    threads = torch.get_num_threads()
    code: Any = None
    try:
        runner.run(import_module(COMMANDS[name]).command, arguments)
    except SystemExit as exiting:
        code = exiting.code
    finally:
        sys.stdout.detach()
        sys.stderr.detach()
        sys.stdout, sys.stderr = streams
        torch.set_num_threads(threads)
    return CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())
