"""The exceptions of this package.

ExportError
├── EvaluationError    a model's images do not have the classes or the size of the dataset
└── VerificationError  an exported file fails verification

This package also raises errors of the others: ModelFileError of cgan_training if a model.pt cannot
be read, and of cgan_runtime ModelError if an .onnx file cannot be opened, and OutputError if a file
cannot be written.
"""

from cgan_runtime.errors import CganError


class ExportError(CganError):
    """Base class of this package's errors. The message says what is wrong, then what to do."""


class EvaluationError(ExportError):
    """The model's images do not have the classes or the size of the dataset."""


class VerificationError(ExportError):
    """The exported file does not reproduce the images of the trained network."""
