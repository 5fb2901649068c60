"""Check the output paths of cgan-export before minutes of work."""

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click

from cgan_runtime.errors import OutputError

SUFFIX = ".onnx"
CARD_SUFFIXES = (".png", ".md")  # suffixes of the sample sheet and the card that --card writes


def output_paths(output: Path | None, precisions: Iterable[str]) -> dict[str, Path]:
    """Return the file to write for each precision, in order and without duplicates.

    Raises:
        click.UsageError: OUTPUT is missing, or is not the name of an .onnx file.
    """
    if output is None:
        raise click.UsageError("OUTPUT is missing; name the file to write, such as model.onnx")
    is_folder = os.path.isdir(output)  # noqa: PTH112 - Path.is_dir() raises for a long name
    if is_folder or output.suffix.lower() != SUFFIX:
        name = output / "model.onnx" if is_folder else output.with_suffix(SUFFIX)
        what = "is a folder" if is_folder else "is not a file name that ends in .onnx"
        raise click.UsageError(f"OUTPUT {str(output)!r} {what}; write {str(name)!r}, for example")
    requested = dict.fromkeys(precisions)
    if len(requested) == 1:
        return dict.fromkeys(requested, output)
    return {
        precision: output.with_name(f"{output.stem}-{precision}{output.suffix}")
        for precision in requested
    }


def check_output(path: Path, model: Path, *, card: bool) -> None:
    """Check that OUTPUT can be written, and differs from the model.

    Raises:
        OutputError: OUTPUT or one of the card's files cannot be written.
        click.UsageError: OUTPUT is the model.
    """
    require_writable(path)
    if path.exists() and any(
        each.exists() and path.samefile(each) for each in (model, model / "model.pt")
    ):
        raise click.UsageError(f"OUTPUT {path} is the trained model; choose another name")
    if card:
        for suffix in CARD_SUFFIXES:
            require_writable(path.with_suffix(suffix))


def require_writable(path: Path, *, creates_folders: bool = False) -> None:
    """Raise OutputError if atomic_write() could not write a file.

    Args:
        path: the file.
        creates_folders: whether the caller creates missing folders.
    """
    folder = path.parent
    if creates_folders:
        folder = next(each for each in path.parents if os.path.lexists(each))
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir() raises for a long name
        raise OutputError(f"cannot write {path}: {folder} is not a folder; choose another path")
    try:
        with suppress(FileNotFoundError):
            path.lstat()  # raises an error if the name is too long
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is not a regular file; choose another path")
        if path.exists():
            folder = Path(os.path.realpath(path)).parent
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write {path}: {reason}; choose another path") from error
