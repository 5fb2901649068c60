"""Every error that this package raises on purpose.

ExportError
├── EvaluationError    a model cannot be measured against the data
└── VerificationError  the exported file does not draw what the trained network draws

Reading the model and writing the file raise the siblings' own errors: cgan_training's
ModelFileError, cgan_runtime's ModelError and OutputError.
"""

from cgan_runtime.errors import CganError


class ExportError(CganError):
    """Base class of this package's errors. The message says what is wrong, then what to do."""


class EvaluationError(ExportError):
    """A model cannot be measured against the data: it draws something else."""


class VerificationError(ExportError):
    """The exported file does not draw what the trained network draws."""
