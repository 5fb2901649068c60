"""Every error that this package raises on purpose.

CganRuntimeError
├── InstallError   onnxruntime, or what an extra brings, is not installed
├── ModelError     a model file that is missing, damaged or breaks the contract
├── ProviderError  a provider that the session did not get
├── InputError     a label, seed or count out of range (also a ValueError)
├── OutputError    a place that cannot be written
├── WorkerError    processes of cgan-bulk that die, or that Ray cannot start
└── StoppedError   a signal that ended cgan-bulk, which keeps its whole shards
"""


class CganRuntimeError(Exception):
    """Base of all of them; its text says what happened, then what to do."""


class InstallError(CganRuntimeError):
    """Onnxruntime, or what an extra brings, is not installed."""


class ModelError(CganRuntimeError):
    """A model file is missing, damaged or breaks the contract."""


class ProviderError(CganRuntimeError):
    """The session did not get the provider that was asked for."""


class InputError(CganRuntimeError, ValueError):
    """A label, seed, start or number of threads is out of range."""


class OutputError(CganRuntimeError):
    """A file cannot be written."""


class WorkerError(CganRuntimeError):
    """Processes of cgan-bulk die again and again, or Ray cannot start them."""


class StoppedError(CganRuntimeError):
    """A signal ended cgan-bulk; the shards that are whole stay.

    Args:
        message: what the user reads.
        signal_number: of the signal; the command's exit code is 128 more.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
