"""Every error that this package raises on purpose.

TrainingError
├── RecipeError        a recipe that is missing, malformed or out of range
├── DatasetError       a data set that is missing, truncated or not what its name says
├── DeviceError        a device that is not there
├── CheckpointError    a checkpoint that cannot be gone on from
├── ModelFileError     a model.pt that cannot be read, or is not one
├── DivergedError      losses that are no longer numbers
├── CollapsedError     a generator that draws one picture whatever it is asked for
└── MissingExtraError  an optional package that is not installed
"""

from cgan_runtime.errors import CganError


class TrainingError(CganError):
    """Base class of this package's errors. The message says what is wrong, then what to do."""


class RecipeError(TrainingError):
    """A recipe is missing, malformed or out of range."""


class DatasetError(TrainingError):
    """A data set is missing, truncated or not what its name says."""


class DeviceError(TrainingError):
    """A device was asked for that is not there."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be read, or is of another run."""


class ModelFileError(TrainingError):
    """A model.pt cannot be read, or is not one."""


class DivergedError(TrainingError):
    """The losses are no longer numbers."""


class CollapsedError(TrainingError):
    """The generator draws one picture, whatever noise and label it is given."""


class MissingExtraError(TrainingError):
    """An option needs a package that is not installed."""


def brief(error: Exception) -> str:
    """Return another library's error on one line of at most 200 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
