"""The exceptions of this package, and printable(), which escapes text for one-line messages.

CganError            base class of the errors of all three packages
├── InstallError     onnxruntime or an optional package is not installed
├── ModelError       a model file is missing, damaged or breaks the model contract
├── ProviderError    the session did not get the requested provider
├── InputError       an argument, such as a label, seed or count, is invalid (also a ValueError)
├── OutputError      a file or folder cannot be written
├── WorkerError      worker processes of cgan-bulk die repeatedly or cannot be started
└── StoppedError     a signal stopped a long run, which can be continued later

cgan_training and cgan_export add the branches TrainingError and ExportError.
"""

import sys
from contextlib import suppress
from types import TracebackType

MAX_MESSAGE = 8000  # characters; a path has up to 4096
# Zero-width joiners, which many scripts and emoji need (Unicode Standard, 23.2), although
# str.isprintable() rejects them.
JOINERS = "\u200c\u200d"
# Packages that never count as the user's code.
INTERNAL = {"cgan_runtime", "cgan_training", "cgan_export", "numpy", *sys.stdlib_module_names}


class CganError(Exception):
    """Base class of the exceptions of cgan's three packages.

    The message is one line that says what is wrong, then what to do. A message of more than
    MAX_MESSAGE characters loses its middle.
    """

    def __str__(self) -> str:
        return shorten(super().__str__())

    @property
    def problem(self) -> str:
        """What is wrong: the message without the remedy after its last semicolon."""
        text = str(self)
        return text.rpartition("; ")[0] or text


class InstallError(CganError):
    """Onnxruntime or an optional package is not installed."""


class ModelError(CganError):
    """A model file is missing, damaged or breaks the model contract."""


class ProviderError(CganError):
    """The session did not get the requested provider."""


class InputError(CganError, ValueError):
    """An argument, such as a label, seed or count, is invalid."""


class OutputError(CganError):
    """A file or folder cannot be written."""


class WorkerError(CganError):
    """Worker processes of cgan-bulk die repeatedly or cannot be started."""


class StoppedError(CganError):
    """A signal stopped a long run, whose finished shards or checkpoints are kept.

    The command's exit code is 128 plus the number of the signal.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def raised_by_user_code(error: BaseException) -> bool:
    """Return whether an exception comes from the user's code, such as a signal handler.

    Signal handlers, trace functions and methods of arguments run between any two instructions of
    ours, and can raise any exception. An except clause must not mistake it for the error that the
    clause handles, so the clause raises it again if this function returns True.

    An exception comes from the user's code if its traceback contains a function of a module outside
    our packages, numpy and the standard library. An OSError with an errno never does: it counts as
    an error of the operating system.
    """
    if getattr(error, "errno", None) is not None:
        return False
    trace = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__") or ""
        if module.partition(".")[0] not in INTERNAL:
            return True
        trace = trace.tb_next
    return False


class suppress_internal(suppress):  # noqa: N801 - named as its base class
    """Suppress exceptions of the given types, but none for which raised_by_user_code() is true."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None and raised_by_user_code(error):
            return False
        return bool(super().__exit__(kind, error, trace))


def shorten(text: str) -> str:
    """Return a text, without its middle if it has more than MAX_MESSAGE characters.

    The beginning of a message says what is wrong, and the end says what to do.
    """
    half = MAX_MESSAGE // 2
    return text if len(text) <= MAX_MESSAGE else f"{text[: half - 5]} ... {text[-half:]}"


def printable(text: str) -> str:
    """Return a text on one line of at most MAX_MESSAGE characters, for messages.

    Control characters and lone surrogates are escaped, and a longer text loses its middle.
    """
    escaped = (
        character if character.isprintable() or character in JOINERS else ascii(character)[1:-1]
        for character in shorten(text)
    )
    return shorten("".join(escaped))
