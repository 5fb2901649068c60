"""checkpoint.pt: the state from which a run continues. The previous one is kept as a backup."""

from pathlib import Path
from typing import Any

from cgan_runtime.errors import OutputError
from cgan_training.archive import load_named_archive, save_archive
from cgan_training.errors import CheckpointError

FORMAT, FORMAT_VERSION = "cgan-checkpoint", 1
DAMAGED = (
    "{path} is truncated, damaged or not a checkpoint ({reason}); delete it and start a new run"
)
NAME, PREVIOUS_NAME = "checkpoint.pt", "checkpoint-previous.pt"
NEXT_NAME = "checkpoint-next.pt"  # a complete new checkpoint, before it is renamed


def save_checkpoint(content: dict[str, Any], run_dir: Path) -> None:
    """Write tensors and plain values to checkpoint.pt; keep the old one as the previous one."""
    path, next_path = run_dir / NAME, run_dir / NEXT_NAME
    save_archive({"format": FORMAT, "version": FORMAT_VERSION, **content}, next_path)
    try:
        if path.exists():
            path.replace(run_dir / PREVIOUS_NAME)
        next_path.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; check its folder") from error


def load_checkpoint(run_dir: Path) -> tuple[dict[str, Any], str | None]:
    """Load the run's checkpoint, or the previous one if the newest is damaged.

    Returns:
        The content, and what is wrong with the newest checkpoint if the previous one was used.
    """
    newest = run_dir / NAME
    if not newest.exists() and (run_dir / NEXT_NAME).exists():
        newest = run_dir / NEXT_NAME  # the run was killed between the two renames
    try:
        return _load(newest), None
    except CheckpointError as error:
        try:
            return _load(run_dir / PREVIOUS_NAME), error.problem
        except CheckpointError:
            raise error from None


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise CheckpointError(f"there is no checkpoint {path}; start a new run")
    content = load_named_archive(path, CheckpointError, DAMAGED)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of cgan-train; give its run directory")
    version = content.get("version")
    if type(version) is not int or version != FORMAT_VERSION:  # comparing a tensor gives a tensor
        raise CheckpointError(
            f"{path} has checkpoint format {version!r:.20}, but this release reads "
            f"{FORMAT_VERSION}; install the release that wrote it"
        )
    return content
