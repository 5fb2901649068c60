"""checkpoint.pt: all that a run needs to go on, and the one before it in case it is damaged."""

from pathlib import Path
from typing import Any

from cgan_runtime.errors import OutputError
from cgan_training.archive import ArchiveError, load_archive, save_archive
from cgan_training.errors import CheckpointError

FORMAT = "cgan-checkpoint"
FORMAT_VERSION = 1
NAME, PREVIOUS_NAME = "checkpoint.pt", "checkpoint-previous.pt"
FOLLOWING_NAME = "checkpoint-following.pt"  # for the moment in which the names change


def save_checkpoint(content: dict[str, Any], run_dir: Path) -> None:
    """Write checkpoint.pt whole; the one that was there becomes checkpoint-previous.pt.

    Args:
        content: tensors and plain values.
        run_dir: the run's folder.

    Raises:
        OutputError: it cannot be written; the one that was there is still there.
    """
    path, following = run_dir / NAME, run_dir / FOLLOWING_NAME
    save_archive({"format": FORMAT, "version": FORMAT_VERSION, **content}, following)
    try:
        if path.exists():
            path.replace(run_dir / PREVIOUS_NAME)
        following.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; check its folder") from error


def load_checkpoint(run_dir: Path) -> tuple[dict[str, Any], str | None]:
    """Read the run's checkpoint, or the one before it where that is damaged.

    Returns:
        Its content, and what is wrong with the newer one when the older was taken.

    Raises:
        CheckpointError: there is none that can be used.
    """
    newest = run_dir / NAME
    if not newest.exists() and (run_dir / FOLLOWING_NAME).exists():
        newest = run_dir / FOLLOWING_NAME  # it was whole before the names began to change
    try:
        return _load(newest), None
    except CheckpointError as newer:
        try:
            return _load(run_dir / PREVIOUS_NAME), str(newer)
        except CheckpointError:
            raise newer from None


def _load(path: Path) -> dict[str, Any]:
    try:
        content = load_archive(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no {path}; nothing to resume, start a new run") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; check the path") from error
    except ArchiveError as error:
        raise CheckpointError(
            f"{path} is cut short, damaged or no checkpoint ({error}); delete it, and start a "
            "new run"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of cgan-train; give its run directory")
    version = content.get("version")
    if type(version) is not int or version != FORMAT_VERSION:  # a tensor compares to a tensor
        raise CheckpointError(
            f"{path} has checkpoint format {version!r:.20}, this release reads "
            f"{FORMAT_VERSION}; install the release that wrote it"
        )
    return content
