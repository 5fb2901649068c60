"""The exceptions of this package.

ExportError
├── EvaluationError    a model cannot be evaluated with a dataset
└── VerificationError  an exported file fails verification, or its precision is not supported

Functions of this package also raise errors of the other packages, for example:

- cgan_training.errors.ModelFileError: a model.pt cannot be read.
- cgan_runtime.ModelError: an .onnx file cannot be opened.
- cgan_runtime.OutputError: a file cannot be written.
"""

from cgan_runtime.errors import CganError


class ExportError(CganError):
    """Base class of this package's errors. The message says what is wrong, then what to do."""


class EvaluationError(ExportError):
    """A model cannot be evaluated with a dataset, for example because their classes differ."""


class VerificationError(ExportError):
    """An exported file fails verification, or the network does not support its precision.

    For example, the images of the file differ from the images of the trained network.
    """
