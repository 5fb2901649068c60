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
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

FAILED, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
NO_MEMORY = "this needs more memory than there is; ask for less at a time"
LEAST_MEGABYTES = 1280  # of address space: Python and torch, and what they come with
SPELT = "cgan-spelt"  # how stdout takes what it has no letters for


class _Terminated(BaseException):
    """SIGTERM arrived: what was begun is cleaned up on the way out, as at Ctrl-C."""


def run(
    command: click.Command,
    own_errors: type[Exception] | tuple[type[Exception], ...],
    arguments: Sequence[str] | None = None,
) -> NoReturn:
    """Run the command and leave with its exit code.

    Args:
        command: what to run; it may have a flag --debug.
        own_errors: errors whose text is meant for the user.
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
        message = str(error) if isinstance(error, own_errors) else _in_words(error)
        if message is None or "--debug" in arguments:
            raise
        _leave(message, getattr(error, "exit_code", FAILED))


def prepare_for_torch() -> None:
    """Set what torch reads when it is loaded, and refuse to begin where it would not fit.

    Threads that wait for each other by spinning starve one another on a busy machine: ten times
    slower with another program at work. Sleeping sooner costs nothing on an idle machine.

    Raises:
        click.ClickException: a limit on memory is too low.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    _require_memory()


def _require_memory() -> None:
    """Refuse to begin where the process may not have what its libraries take.

    torch and OpenBLAS would end it in words of their own, or by abort().

    Raises:
        click.ClickException: a limit is too low.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0] // 2**20
    if 0 <= allowed < LEAST_MEGABYTES:  # no limit is -1
        raise click.ClickException(
            f"{allowed} MB of address space are allowed here (ulimit -v), and torch takes "
            f"{LEAST_MEGABYTES}; allow more"
        )


def default_cache_dir() -> Path:
    """Return where a judge is kept unless the user says otherwise."""
    try:
        home = Path.home()
    except RuntimeError:  # there is none, as of a user id that nobody has
        home = Path(os.devnull)  # where nothing can be made: whoever needs a judge is told so
    return home / ".cache" / "cgan"


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
