"""The exceptions of this package.

ExportError
├── EvaluationError    a model's images do not have the classes or the size of the dataset
└── VerificationError  an exported file, or a step that leads to it, fails verification

Functions of this package also raise errors of the other packages:

- cgan_training.errors.ModelFileError: a model.pt cannot be read.
- cgan_runtime.ModelError: an .onnx file cannot be opened.
- cgan_runtime.OutputError: a file cannot be written.
"""

from cgan_runtime.errors import CganError


class ExportError(CganError):
    """Base class of this package's errors. The message says what is wrong, then what to do."""


class EvaluationError(ExportError):
    """The model's images do not have the classes or the size of the dataset."""


class VerificationError(ExportError):
    """An exported file, or a step that leads to it, fails verification.

    For example, the images of the file differ from the images of the trained network, or the
    network does not support the precision.
    """
