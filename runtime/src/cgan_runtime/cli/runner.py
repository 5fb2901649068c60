"""Run a click command with the error messages and exit codes that all commands share.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted, 143 terminated. An error is one
line on stderr: `error: what is wrong; what to do`. Tracebacks are shown only with --debug.
"""

import codecs
import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import click

from cgan_runtime.errors import CganError, printable

FAILED, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
MIN_MEGABYTES = 192  # of address space: Python, NumPy, ONNX Runtime and a few images
_STDOUT_ERRORS = "cgan-stdout"  # name of the encoding error handler of stdout


class Terminated(BaseException):
    """SIGTERM arrived. `except Exception` must not catch it, so it derives from BaseException."""


def run(command: click.Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command with these arguments, by default sys.argv[1:], and exit with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        signal.signal(signal.SIGTERM, _raise_terminated)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors=_STDOUT_ERRORS)
        code = command.main(list(arguments), prog_name=command.name, standalone_mode=False)
        sys.exit(code or 0)
    except click.UsageError as error:
        message, see_help = error.format_message(), f"see {command.name} --help"
        if "; " in message or message.endswith("?"):
            _exit(f"{message} ({see_help})", USAGE)
        _exit(f"{message.removesuffix('.')}; {see_help}", USAGE)
    except click.ClickException as error:
        _exit(error.format_message(), FAILED)
    except (KeyboardInterrupt, click.Abort):
        _exit("interrupted", INTERRUPTED)
    except Terminated:
        _exit("terminated", TERMINATED)
    except Exception as error:
        description = _describe(error)
        if description is None or "--debug" in arguments:
            raise
        _exit(description, getattr(error, "exit_code", FAILED))


def run_quickly(command: click.Command) -> NoReturn:
    """Do what run() does with a faster start and exit, for commands that do not need PyTorch.

    NumPy's OpenBLAS would start a thread per core, which these commands do not need and which takes
    25 ms of CPU time. os._exit() skips the teardown of NumPy and ONNX Runtime, which takes another
    25 ms.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        run(command)
    except SystemExit as exit_request:
        code = int(exit_request.code or 0)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed; run() has reported the error
            if stream is not None:
                stream.flush()
    os._exit(code)


def require_memory(megabytes: int = MIN_MEGABYTES, purpose: str = "generating images") -> None:
    """Raise click.ClickException if the address space is limited to fewer megabytes (MiB).

    Without this check, OpenBLAS or PyTorch would end the process with a message of its own. The
    purpose is the activity that needs the memory; the message names it.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0] // 2**20
    if 0 <= limit < megabytes:  # -1 means that there is no limit
        raise click.ClickException(
            f"the address space is limited to {limit} MB (ulimit -v), but {purpose} needs "
            f"{megabytes} MB; raise the limit"
        )


def json_text(value: object) -> str:
    """Return a value as JSON; characters that stdout cannot encode are escaped.

    Raises:
        ValueError: a number is not finite, which JSON cannot express.
    """
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return text


def _encode_for_stdout(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write a path with its original bytes; escape other characters that stdout cannot encode."""
    with suppress(UnicodeEncodeError):
        return codecs.lookup_error("surrogateescape")(error)
    return codecs.backslashreplace_errors(error)


codecs.register_error(_STDOUT_ERRORS, _encode_for_stdout)


def _raise_terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _describe(error: Exception) -> str | None:
    """Return the message for an expected error, or None for a bug, which keeps its traceback."""
    if isinstance(error, CganError):
        return str(error)
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)  # raised by PyTorch
        and re.search("allocate memory|enough memory|out of memory", str(error))
    ):
        return "not enough memory; generate or process fewer images at a time"
    if isinstance(error, OSError):
        # Discard what is left in stdout's buffer: Python would try to write it again at exit.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        reason = error.strerror or error
        return f"input or output failed: {reason}; free some space, or check the paths"
    return None


def _exit(message: str, code: int) -> NoReturn:
    click.echo(f"error: {printable(message)}", err=True)
    sys.exit(code)
