"""Read a model file.

The error for a run directory or a PyTorch file states the command that exports it.
"""

import shlex
from itertools import islice
from pathlib import Path

from cgan_runtime.errors import ModelError, raised_by_user_code
from cgan_runtime.model_file.messages import error_message
from cgan_runtime.model_file.validation.rules import MAX_FILE_BYTES

SHIPPED_MODEL = Path(__file__).parents[1] / "models" / "digits.onnx"
READ_CHUNK_BYTES = 2**20
RUN_FILES = ("model.pt", "checkpoint.pt")  # a run directory of cgan-train has one of them
# torch.save() writes a zip archive whose first entry is called NAME/data.pkl.
ZIP_SIGNATURE, PICKLE, MAX_HEAD_BYTES = b"PK\x03\x04", b"/data.pkl", 1024


def read_model_file(path: Path) -> bytes:
    """Return the bytes of a model file, which may be a pipe.

    Raises:
        ModelError: the file cannot be read, is empty or too large, or must be exported first.
    """
    try:
        with path.open("rb") as file:
            # A device such as /dev/zero has no end, and read(MAX_FILE_BYTES) would allocate a
            # buffer of that size for every file. So the file is read in chunks, up to the limit.
            chunks = iter(lambda: file.read(READ_CHUNK_BYTES), b"")
            content = b"".join(islice(chunks, MAX_FILE_BYTES // READ_CHUNK_BYTES + 1))
    except (OSError, ValueError) as error:  # ValueError: a null character or a lone surrogate
        if raised_by_user_code(error):
            raise
        if path == SHIPPED_MODEL and isinstance(error, FileNotFoundError | NotADirectoryError):
            return _read_shipped_model()
        if isinstance(error, IsADirectoryError) and any(
            (path / name).exists() for name in RUN_FILES
        ):
            raise _not_exported_error(path, "a run directory") from error
        if isinstance(error, FileNotFoundError):
            raise ModelError(f"there is no model {path}; check the path") from error
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"cannot read the model {path}: {reason}; check the path") from error
    if not content:
        raise ModelError(error_message("empty", source=path))
    if content.startswith(ZIP_SIGNATURE) and PICKLE in content[:MAX_HEAD_BYTES]:
        raise _not_exported_error(path, "a PyTorch model")
    if len(content) > MAX_FILE_BYTES:
        raise ModelError(error_message("too large", source=path, limit=f"{MAX_FILE_BYTES:,}"))
    return content


def _read_shipped_model() -> bytes:
    """Return the model of a package that is not installed as files, such as a zip archive."""
    from importlib.resources import files

    try:
        return files("cgan_runtime").joinpath("models", SHIPPED_MODEL.name).read_bytes()
    except (OSError, KeyError) as error:
        if raised_by_user_code(error):
            raise
        raise ModelError(
            f"cgan-runtime was installed without its model {SHIPPED_MODEL}; install it again, or "
            "give another model with --model"
        ) from error


def _not_exported_error(path: Path, kind: str) -> ModelError:
    """Return the error for a model that must be exported first."""
    command = f"cgan-export {shlex.quote(str(path))} model.onnx"
    return ModelError(f"{path} is {kind}, not an ONNX file; export it with `{command}`")
