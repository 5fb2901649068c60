"""Every error that this package raises on purpose.

CganError
├── InstallError   onnxruntime, or what an extra brings, is not installed
├── ModelError     a model file that is missing, damaged or breaks the contract
├── ProviderError  a provider that the session did not get
├── InputError     a label, seed or count out of range (also a ValueError)
├── OutputError    a place that cannot be written
├── WorkerError    processes of cgan-bulk that die, or that Ray cannot start
└── StoppedError   a signal that ended cgan-bulk, which keeps its whole shards
"""


class CganError(Exception):
    """Base class of every error that cgan's packages raise on purpose.

    The message says what is wrong, then what to do.
    """


class InstallError(CganError):
    """Onnxruntime, or what an extra brings, is not installed."""


class ModelError(CganError):
    """A model file is missing, damaged or breaks the contract."""


class ProviderError(CganError):
    """The session did not get the provider that was asked for."""


class InputError(CganError, ValueError):
    """A label, seed, start or number of threads is out of range."""


class OutputError(CganError):
    """A file cannot be written."""


class WorkerError(CganError):
    """Processes of cgan-bulk die again and again, or Ray cannot start them."""


class StoppedError(CganError):
    """A signal ended cgan-bulk; the shards that are whole stay.

    Args:
        message: what the user reads.
        signal_number: of the signal; the command's exit code is 128 more.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
