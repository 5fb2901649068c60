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
# Many scripts and emoji need them, but str.isprintable() rejects them (Unicode Standard, 23.2).
JOINERS = "\u200c\u200d"
OWN_PACKAGES = {"cgan_runtime", "cgan_training", "cgan_export", "numpy", *sys.stdlib_module_names}


class CganError(Exception):
    """Base class of the exceptions of cgan's three packages.

    The message is one line that says what is wrong, then what to do. The middle of a line of more
    than MAX_MESSAGE characters is left out.
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


def is_callers(error: BaseException, *packages: str) -> bool:
    """Return whether a callback of the caller raised an exception while our code ran.

    A signal handler, a trace function or a method of an argument can raise any exception, which
    must pass unchanged. The traceback of such an exception contains a function other than those of
    our packages, the standard library and the given packages. An OSError with an errno is taken
    for one of the operating system.
    """
    known = OWN_PACKAGES.union(packages)
    trace, is_foreign = error.__traceback__, False
    while trace is not None and not is_foreign:
        name = trace.tb_frame.f_globals.get("__name__") or ""
        is_foreign, trace = name.partition(".")[0] not in known, trace.tb_next
    return is_foreign and getattr(error, "errno", None) is None


class suppress_own(suppress):  # noqa: N801 - named as its base class
    """Suppress exceptions of these types, except for those of the caller (see is_callers)."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        is_own = error is None or not is_callers(error)
        return is_own and bool(super().__exit__(kind, error, trace))


def shorten(text: str) -> str:
    """Return a text of at most MAX_MESSAGE characters, without its middle if it is longer.

    The beginning of a message says what is wrong, and its end what to do.
    """
    half = MAX_MESSAGE // 2
    return text if len(text) <= MAX_MESSAGE else f"{text[: half - 5]} ... {text[-half:]}"


def printable(text: str) -> str:
    """Return a text on one line of limited length, for messages.

    Control characters and lone surrogates are escaped, and the middle of a long text is left out.
    """
    escaped = (
        each if each.isprintable() or each in JOINERS else ascii(each)[1:-1]
        for each in shorten(text)
    )
    return shorten("".join(escaped))
