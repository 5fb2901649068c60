"""Every error that this package raises on purpose.

CganRuntimeError
├── InstallError   onnxruntime is not installed
├── ModelError     a model file that is missing, damaged or breaks the contract
├── ProviderError  a provider that the session did not get
├── InputError     a label, seed or count out of range (also a ValueError)
└── OutputError    a place that cannot be written
"""


class CganRuntimeError(Exception):
    """Base of all of them; its text says what happened, then what to do."""


class InstallError(CganRuntimeError):
    """Onnxruntime is not installed."""


class ModelError(CganRuntimeError):
    """A model file is missing, damaged or breaks the contract."""


class ProviderError(CganRuntimeError):
    """The session did not get the provider that was asked for."""


class InputError(CganRuntimeError, ValueError):
    """A label, seed, start or number of threads is out of range."""


class OutputError(CganRuntimeError):
    """A file cannot be written."""
