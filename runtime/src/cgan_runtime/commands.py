"""Run a click command under the project's conventions for errors and exit codes.

0 done; 1 it failed; 2 wrong usage; 130 interrupted. An error is one line on stderr:
`error: what, then what to do`. Tracebacks are shown only with --debug.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

FAILED, USAGE, INTERRUPTED = 1, 2, 130


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
        code = command.main(list(arguments), prog_name=command.name, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.UsageError as error:
        _leave(f"{error.format_message()} (see {command.name} --help)", USAGE)
    except click.ClickException as error:
        _leave(error.format_message(), FAILED)
    except (KeyboardInterrupt, click.Abort):
        _leave("interrupted", INTERRUPTED)
    except own_errors as error:
        if "--debug" in arguments:
            raise
        _leave(str(error), getattr(error, "exit_code", FAILED))
    except MemoryError:
        _leave("this needs more memory than there is; ask for less at a time", FAILED)
    except OSError as error:
        if "--debug" in arguments:
            raise
        # What is left in stdout's buffer has nowhere to go: Python would try again at the end.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _leave(f"cannot go on: {error.strerror or error}; make room, or check the places", FAILED)


def run_and_exit(
    command: click.Command, own_errors: type[Exception] | tuple[type[Exception], ...]
) -> NoReturn:
    """Run the command as a process of its own, which starts fast and ends at once.

    numpy's OpenBLAS would start a thread for each core, though nothing here multiplies with it:
    25 ms of processor time. Tearing numpy and onnxruntime down takes another 25 ms, to free what
    the system frees anyway.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        run(command, own_errors)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else FAILED
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # gone, or closed: run() has said so
            if stream is not None:
                stream.flush()
    os._exit(code)


def _leave(message: str, code: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)
