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

MAX_MESSAGE = 2000  # characters
MAX_PRINTED = 8000  # characters of a message; a path has up to 4096
# Many scripts and emoji need them, but str.isprintable() rejects them (Unicode Standard, 23.2).
JOINERS = "\u200c\u200d"


class CganError(Exception):
    """Base class of the exceptions of cgan's three packages.

    The message is one line that says what is wrong, then what to do. The middle of a line of more
    than MAX_MESSAGE characters is left out.
    """

    def __str__(self) -> str:
        text = super().__str__()
        half = MAX_MESSAGE // 2
        return text if len(text) <= MAX_MESSAGE else f"{text[: half - 5]} ... {text[-half:]}"


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


def printable(text: str) -> str:
    """Return a text on one line of limited length, for messages.

    Control characters and lone surrogates are escaped. Of a long text the middle is left out: its
    beginning says what is wrong, and its end what to do.
    """
    if len(text) > MAX_PRINTED:
        text = f"{text[: MAX_PRINTED // 2]} ... {text[-MAX_PRINTED // 4 :]}"
    return "".join(
        each if each.isprintable() or each in JOINERS else ascii(each)[1:-1] for each in text
    )
