"""The errors that this package raises on purpose, and the escaping of texts for one line.

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


class CganError(Exception):
    """Base class of the errors that cgan's packages raise on purpose.

    The message is one line that says what is wrong, then what to do.
    """


class InstallError(CganError):
    """Onnxruntime or an optional package is not installed."""


class ModelError(CganError):
    """A model file is missing, damaged or breaks the model contract."""


class ProviderError(CganError):
    """The session did not get the requested provider."""


class InputError(CganError, ValueError):
    """An argument, such as a label, seed or number of threads, is invalid."""


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
    """Return a text on one line, with control characters and lone surrogates escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
