"""Locate a model file. This module does not import torch, which takes seconds to load."""

import os
import shlex
from pathlib import Path

from cgan_training.errors import ModelFileError


def find_model(path: Path) -> Path:
    """Return the path of model.pt, given either the file or its run directory.

    Raises:
        ModelFileError: the file does not exist or cannot be accessed.
    """
    if "\0" in str(path):
        raise ModelFileError(f"there is no model {str(path)!r}; check the path")
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir() raises if the name is too long
        path /= "model.pt"
    try:
        path.stat()
    except FileNotFoundError as error:
        run = path.parent
        if path.name == "model.pt" and (run / "checkpoint.pt").exists():
            raise ModelFileError(
                f"the run in {run} is not finished, so there is no {path}; continue it with "
                f"cgan-train --resume {shlex.quote(str(run))}, or start a new run if it ended with "
                "an error"
            ) from error
        message = f"there is no model {path}; train one with cgan-train, or check the path"
        raise ModelFileError(message) from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}; check the path") from error
    return path
