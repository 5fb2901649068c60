"""Run a click command under the project's conventions for errors and exit codes.

0 done; 1 it failed; 2 wrong usage; 130 interrupted; 143 terminated. An error is one line on stderr:
`error: what, then what to do`. Tracebacks are shown only with --debug.
"""

import codecs
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import click

from cgan_runtime.errors import CganError

FAILED, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
NO_MEMORY = "this needs more memory than there is; ask for less at a time"
MIN_MEGABYTES = 192  # of address space: Python, NumPy, ONNX Runtime and a few images
SPELT = "cgan-spelt"  # how stdout takes what it has no letters for


class _Terminated(BaseException):
    """SIGTERM arrived: what was begun is cleaned up on the way out, as at Ctrl-C."""


def run(command: click.Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave with its exit code.

    Args:
        command: what to run; it may have a flag --debug.
        arguments: the command line, sys.argv's by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminate)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors=SPELT)
        code = command.main(list(arguments), prog_name=command.name, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.UsageError as error:
        _leave(f"{error.format_message()} (see {command.name} --help)", USAGE)
    except click.ClickException as error:
        _leave(error.format_message(), FAILED)
    except (KeyboardInterrupt, click.Abort):
        _leave("interrupted", INTERRUPTED)
    except _Terminated:
        _leave("terminated", TERMINATED)
    except Exception as error:
        message = str(error) if isinstance(error, CganError) else _in_words(error)
        if message is None or "--debug" in arguments:
            raise
        _leave(message, getattr(error, "exit_code", FAILED))


def run_and_exit(command: click.Command) -> NoReturn:
    """Run the command as a process of its own, which starts fast and ends at once.

    numpy's OpenBLAS would start a thread for each core, though nothing here multiplies with it:
    25 ms of processor time. Tearing numpy and onnxruntime down takes another 25 ms, to free what
    the system frees anyway.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        run(command)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else FAILED
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # gone, or closed: run() has said so
            if stream is not None:
                stream.flush()
    os._exit(code)


def require_memory(megabytes: int = MIN_MEGABYTES, purpose: str = "generating images") -> None:
    """Refuse to start if the limit on address space is below what the libraries need.

    Without this check, OpenBLAS and PyTorch end the process with messages of their own.

    Args:
        megabytes: the least address space that the command needs, in MiB.
        purpose: what needs it, for the message.

    Raises:
        click.ClickException: the limit is too low.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0] // 2**20
    if 0 <= allowed < megabytes:  # -1 means that there is no limit
        raise click.ClickException(
            f"the address space is limited to {allowed} MB (ulimit -v), but {purpose} needs "
            f"{megabytes} MB; raise the limit"
        )


def json_text(value: object) -> str:
    """Return a value as JSON that stdout can take: letters that it lacks are escaped."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return text


def _spelt(error: UnicodeError) -> tuple[str | bytes, int]:
    """Give a path the bytes that it came of, and spell other letters out that stdout lacks."""
    for way in ("surrogateescape", "backslashreplace"):
        with suppress(UnicodeEncodeError):
            return codecs.lookup_error(way)(error)
    raise error


codecs.register_error(SPELT, _spelt)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _in_words(error: Exception) -> str | None:
    """Return what to say of an error that any command may meet; None: it is a fault of ours."""
    no_memory = "allocate memory|enough memory|out of memory"  # as torch says it
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and re.search(no_memory, str(error))
    ):
        return NO_MEMORY
    if isinstance(error, OSError):
        # What is left in stdout's buffer has nowhere to go: Python would try again at the end.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        reason = error.strerror or error
        return f"cannot go on: {reason}; make room, or check the places"
    return None


def _leave(message: str, code: int) -> NoReturn:
    click.echo(f"error: {printable(message)}", err=True)
    sys.exit(code)


def printable(text: str) -> str:
    """Return a text on one line, its control characters and half characters spelt out."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
