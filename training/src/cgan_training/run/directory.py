"""The run directory: locked against other processes, and cleaned of files of killed processes."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cgan_runtime.errors import OutputError
from cgan_runtime.files import TEMPORARY_NAMES, lock_folder, make_folder, remove_if_abandoned
from cgan_training.run.checkpoint import CHECKPOINT_NAME, NEXT_CHECKPOINT_NAME


@contextmanager
def open_run_dir(run_dir: Path, *, resume: bool) -> Iterator[bool]:
    """Create the run directory, or open it to resume the run, and lock it for the block.

    Yields whether the directory is locked. Some file systems have no locks.

    Raises:
        OutputError: the directory cannot be written, contains another run, or is in use.
    """
    if resume and not run_dir.exists():  # resume() raises the error about the missing checkpoint
        yield False
        return
    make_folder(run_dir, "choose another --run-dir")
    remedy = "wait for it" if resume else "choose another --run-dir"
    message = f"another cgan-train is writing to {run_dir}; {remedy}"
    try:
        with lock_folder(run_dir, message) as locked:
            if not resume:
                require_no_run(run_dir)
            yield locked
    finally:
        if not resume:
            with suppress(OSError):  # the directory is empty if the run was rejected
                run_dir.rmdir()


def require_no_run(run_dir: Path) -> None:
    """Raise OutputError if a directory already contains a run."""
    if (run_dir / "config.json").exists():
        raise OutputError(
            f"{run_dir} already contains a run; continue it with --resume "
            f"{shlex.quote(str(run_dir))}, or choose another --run-dir"
        )


def delete_leftovers(run_dir: Path) -> None:
    """Delete the temporary files of a killed process from a locked run directory."""
    for folder in (".", "samples", "models"):
        for path in (run_dir / folder).glob(TEMPORARY_NAMES):
            remove_if_abandoned(path)
    # Without checkpoint.pt, checkpoint-next.pt is the newest checkpoint.
    if (run_dir / CHECKPOINT_NAME).exists():
        with suppress(OSError):
            (run_dir / NEXT_CHECKPOINT_NAME).unlink()
