"""The signals that end a command: SIGINT, SIGTERM and SIGHUP.

This module has only fast imports, because it is imported before the command.
"""

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

    Handler = Callable[[int, FrameType | None], object]

# Windows has no SIGHUP.
NUMBERS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
EXIT_CODE_BASE = 128  # the exit code is this number plus the number of the signal, as in a shell


def install_handler(handler: "Handler") -> "dict[int, Any]":
    """Install a handler for each signal, and return the previous handlers by signal number.

    Signals that are ignored, for example under nohup, stay ignored.
    """
    previous_handlers = {number: signal.getsignal(number) for number in NUMBERS}
    for number, previous in previous_handlers.items():
        if previous is not signal.SIG_IGN:
            signal.signal(number, handler)
    return previous_handlers


def message(number: int) -> str:
    """Return the text of the error for a signal."""
    return "interrupted" if number == signal.SIGINT else "terminated"


def exit_at_once(number: int, _frame: "FrameType | None" = None) -> "NoReturn":
    """Print the error and exit, without cleaning up."""
    try:
        os.write(2, f"error: {message(number)}\n".encode())
    finally:  # also if stderr is closed, or its terminal is gone
        os._exit(EXIT_CODE_BASE + number)
