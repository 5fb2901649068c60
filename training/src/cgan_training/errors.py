"""The exception classes of this package.

CganError (cgan_runtime.errors)
└── TrainingError
    ├── RecipeError
    ├── DatasetError
    ├── DeviceError
    ├── CheckpointError
    ├── ModelFileError
    ├── DivergedError
    ├── CollapsedError
    ├── LaunchError
    ├── MissingExtraError
    └── UserCodeError
"""

from cgan_runtime.errors import CganError


class TrainingError(CganError):
    """Base class of this package's errors. The message says what is wrong, then what to do."""


class RecipeError(TrainingError):
    """A recipe is missing or invalid, or does not fit the dataset or the number of processes."""


class DatasetError(TrainingError):
    """A dataset is missing, damaged or inconsistent."""


class DeviceError(TrainingError):
    """A requested device is not available, or cannot train this recipe."""


class CheckpointError(TrainingError):
    """A checkpoint is unreadable or belongs to a different run."""


class ModelFileError(TrainingError):
    """A model.pt is missing, unreadable or invalid."""


class DivergedError(TrainingError):
    """A loss is NaN or infinite."""


class CollapsedError(TrainingError):
    """The generator produces the same image for every noise vector and label."""


class LaunchError(TrainingError):
    """The processes of a distributed run were started incorrectly, or cannot reach each other."""


class MissingExtraError(TrainingError):
    """An option needs a package that is not installed."""


class UserCodeError(TrainingError):
    """Code that the user named cannot be imported, or does not work as its interface requires."""


def one_line(error: Exception) -> str:
    """Return the type and message of an error on one line of at most 200 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
