"""Every error that this package raises on purpose.

TrainingError
├── RecipeError     a recipe that is missing, malformed or out of range
├── DatasetError    a data set that is missing, truncated or not what its name says
├── ModelFileError  a model.pt that cannot be read, or is not one
├── DivergedError   losses that are no longer numbers
└── OutputError     a place that cannot be written
"""


class TrainingError(Exception):
    """Base of all of them; its text says what happened, then what to do."""


class RecipeError(TrainingError):
    """A recipe is missing, malformed or out of range."""


class DatasetError(TrainingError):
    """A data set is missing, truncated or not what its name says."""


class ModelFileError(TrainingError):
    """A model.pt cannot be read, or is not one."""


class DeviceError(TrainingError):
    """A device was asked for that is not there."""


class DivergedError(TrainingError):
    """The losses are no longer numbers."""


class OutputError(TrainingError):
    """A file or folder cannot be written."""
