"""Where a trained model lies: told without torch, which takes seconds to load."""

import os
from pathlib import Path

from cgan_training.errors import ModelFileError


def find_model(path: Path) -> Path:
    """Return the path of model.pt, which may be given by its run directory.

    Raises:
        ModelFileError: nothing lies there.
    """
    if "\0" in str(path):
        raise ModelFileError(f"there is no {str(path)!r}; check the path")
    if os.path.isdir(path):  # noqa: PTH112 - a name too long is no folder, and no error
        path = path / "model.pt"
    try:
        path.stat()
    except FileNotFoundError as error:
        raise ModelFileError(
            f"there is no {path}; make one with cgan-train, or check the path"
        ) from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}; check the path") from error
    return path
