"""checkpoint.pt: the state from which a run continues. The previous one is kept as a backup."""

from pathlib import Path
from typing import Any

from cgan_runtime.files import output_errors
from cgan_training.archive import load_archive_with_advice, save_archive
from cgan_training.errors import CheckpointError

FORMAT, FORMAT_VERSION = "cgan-checkpoint", 1
DAMAGED = (
    "{path} is truncated, damaged or not a checkpoint ({reason}); delete it and start a new run"
)
CHECKPOINT_NAME, PREVIOUS_CHECKPOINT_NAME = "checkpoint.pt", "checkpoint-previous.pt"
NEXT_CHECKPOINT_NAME = "checkpoint-next.pt"  # a complete new checkpoint, before it is renamed


def save_checkpoint(content: dict[str, Any], run_dir: Path) -> None:
    """Write tensors and plain values to checkpoint.pt; rename the old one as a backup."""
    path, next_path = run_dir / CHECKPOINT_NAME, run_dir / NEXT_CHECKPOINT_NAME
    save_archive({"format": FORMAT, "version": FORMAT_VERSION, **content}, next_path)
    with output_errors("write", path, "check its folder"):
        if path.exists():
            path.replace(run_dir / PREVIOUS_CHECKPOINT_NAME)
        next_path.replace(path)


def load_checkpoint(run_dir: Path) -> tuple[dict[str, Any], str | None]:
    """Load the run's checkpoint, or the previous one if the newest is damaged.

    Returns:
        The content, and what is wrong with the newest checkpoint if the previous one was used.
    """
    newest, next_path = run_dir / CHECKPOINT_NAME, run_dir / NEXT_CHECKPOINT_NAME
    if not newest.exists() and next_path.exists():
        newest = next_path  # the run was killed between the two renames
    try:
        return _load(newest), None
    except CheckpointError as error:
        try:
            return _load(run_dir / PREVIOUS_CHECKPOINT_NAME), error.problem
        except CheckpointError:
            raise error from None


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise CheckpointError(f"there is no checkpoint {path}; start a new run")
    content = load_archive_with_advice(path, CheckpointError, DAMAGED)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of cgan-train; give the directory of a run"
        )
    version = content.get("version")
    if type(version) is not int or version != FORMAT_VERSION:  # comparing a tensor gives a tensor
        raise CheckpointError(
            f"{path} has checkpoint format {version!r:.20}, but this release reads "
            f"{FORMAT_VERSION}; install the release that wrote it"
        )
    return content
