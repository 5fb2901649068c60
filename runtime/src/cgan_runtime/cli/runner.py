"""Run a click command with the error messages and exit codes that all commands share.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted (SIGINT), 143 terminated (SIGTERM),
129 hung up (SIGHUP: the terminal was closed). An error is one line on stderr:
`error: what is wrong; what to do`. Tracebacks are shown only with --debug.
"""

import codecs
import io
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import NoReturn

import click

from cgan_runtime.cli import signals
from cgan_runtime.errors import CganError, StoppedError, printable
from cgan_runtime.files import is_writing

FAILED, USAGE = 1, 2
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}  # of every command
MIN_MEGABYTES = 192  # address space for Python, NumPy, ONNX Runtime and a few images
_STDOUT_ERRORS = "cgan-stdout"  # name of the encoding error handler of stdout
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"  # file name in frames of Python's import system


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived. A BaseException, which `except Exception` does not catch."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def run(command: click.Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command with these arguments, by default sys.argv[1:], and exit with its exit code."""
    # Otherwise NumPy's OpenBLAS starts a thread per core, which no command needs, and ends the
    # process if the system refuses one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = sys.argv[1:] if arguments is None else arguments
    received: list[int] = []
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors=_STDOUT_ERRORS)
        with _signals_as_exceptions(received):
            code = command.main(list(arguments), prog_name=command.name, standalone_mode=False)
        sys.exit(code or 0)
    except click.UsageError as error:
        _exit(_add_help_hint(error.format_message(), f"see {command.name} --help"), USAGE)
    except click.ClickException as error:
        _exit(error.format_message(), FAILED)
    except (KeyboardInterrupt, click.Abort):
        _exit_by_signal(signal.SIGINT)
    except Terminated as error:
        _exit_by_signal(error.signal_number)
    except Exception as error:
        if received and not isinstance(error, StoppedError):  # native code replaced the exception
            _exit_by_signal(received[0])
        if isinstance(error, OSError):
            _discard_stdout()
        description = _describe(error)
        if description is None or "--debug" in arguments:
            raise
        _exit(description, getattr(error, "exit_code", FAILED))


def run_quickly(command: click.Command) -> NoReturn:
    """Run a command like run(), but exit with os._exit(), for commands that do not need PyTorch.

    This skips the teardown of NumPy and ONNX Runtime, which takes 25 ms.
    """
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
    """Raise click.ClickException if the limit of the address space is below `megabytes` MiB.

    Without this check, OpenBLAS or PyTorch would end the process, with an unclear message.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0] // 2**20
    if 0 <= limit < megabytes:  # -1 means that there is no limit
        raise click.ClickException(
            f"the address space is limited to {limit} MiB (ulimit -v), but {purpose} needs "
            f"{megabytes} MiB; raise the limit"
        )


def echo_path(path: object, text: str = "") -> None:
    """Print a path and a text. On a terminal, control characters are escaped."""
    line = f"{path}{text}"
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    # Without color=True, click removes escape sequences, so a script would get a wrong path.
    click.echo(printable(line) if is_terminal else line, color=True)


def echo_report(values: object, text: str, *, as_json: bool, quiet: bool) -> None:
    """Print the values of a report as JSON, or its text unless the command is quiet."""
    if as_json:
        click.echo(json_text(values))
    elif not quiet:
        click.echo(text)


def json_text(value: object) -> str:
    """Return a value as JSON; characters that stdout cannot encode are escaped.

    Raises:
        ValueError: a number is not finite: JSON has no notation for it.
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


@contextmanager
def _signals_as_exceptions(received: list[int]) -> Iterator[None]:
    """If a signal arrives within the block, record its number, and raise an exception there.

    The exception is KeyboardInterrupt for SIGINT, otherwise Terminated.
    """
    previous = signals.install_handler(partial(_raise, received))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _raise(received: list[int], number: int, frame: FrameType | None) -> NoReturn:
    # An exception that is raised during an import can be lost: native modules turn it into an
    # ImportError, and callbacks of the import system drop it. If no file is being written, there is
    # nothing to clean up.
    if _is_importing(frame) and not is_writing():
        signals.exit_at_once(number)
    received.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False


def _add_help_hint(message: str, hint: str) -> str:
    """Add what to do to the message of a wrong usage.

    Some messages already say it after a semicolon, or ask "Did you mean ...?".
    """
    if "; " in message or message.endswith("?"):
        return f"{message} ({hint})"
    return f"{message.removesuffix('.')}; {hint}"


def _describe(error: Exception) -> str | None:
    """Return the message for an expected error, or None for a bug, whose traceback is shown."""
    if isinstance(error, CganError):
        return str(error)
    lacks_memory = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)  # raised by PyTorch
        and re.search("allocate memory|enough memory|out of memory", str(error))
    )
    if lacks_memory:
        return "not enough memory; generate or process fewer images at a time"
    if isinstance(error, OSError):
        reason = error.strerror or error
        return f"input or output failed: {reason}; free some space, or check the paths"
    return None


def _discard_stdout() -> None:
    """Discard the rest of stdout's buffer, which Python would try to write again at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _exit_by_signal(number: int) -> NoReturn:
    _exit(signals.message(number), signals.EXIT_CODE_BASE + number)


def _exit(message: str, code: int) -> NoReturn:
    with suppress(OSError):  # the terminal of stderr is gone
        click.echo(f"error: {printable(message)}", err=True)
    sys.exit(code)
