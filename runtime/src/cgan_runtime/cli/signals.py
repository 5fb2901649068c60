"""The signals that end a command: SIGINT, SIGTERM and SIGHUP.

This module imports nothing that is slow, because it is needed before the command is imported.
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
EXIT_CODE_BASE = 128  # a shell reports this number plus the number of the signal


def handle(handler: "Handler") -> "dict[int, Any]":
    """Install a handler of each signal that is not ignored, as nohup does; return the old ones."""
    previous = {number: signal.getsignal(number) for number in NUMBERS}
    for number, old in previous.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler)
    return previous


def message(number: int) -> str:
    """Return the text of the error for a signal."""
    return "interrupted" if number == signal.SIGINT else "terminated"


def exit_at_once(number: int, _frame: "FrameType | None" = None) -> "NoReturn":
    """Print the error and exit, without cleaning up."""
    try:
        os.write(2, f"error: {message(number)}\n".encode())
    finally:  # also if stderr is closed, or its terminal is gone
        os._exit(EXIT_CODE_BASE + number)
