"""What the commands that load PyTorch share."""

import os
from pathlib import Path

from cgan_runtime.cli.conventions import require_memory

MIN_MEGABYTES = 1280  # of address space: Python and PyTorch with its libraries


def prepare_for_torch() -> None:
    """Set what PyTorch reads when it is loaded, and check that there is memory for it.

    GNU OpenMP's threads spin while they wait for each other. Next to another busy program that
    makes training ten times slower, so they sleep sooner here; an idle machine loses nothing.

    Raises:
        click.ClickException: the limit on address space is too low.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    require_memory(MIN_MEGABYTES, "PyTorch")


def default_cache_dir() -> Path:
    """Return the folder that holds evaluation classifiers if --cache-dir is not given."""
    try:
        home = Path.home()
    except RuntimeError:  # the user id has no home directory
        home = Path(
            os.devnull
        )  # nothing can be created there: the user is told to pass --cache-dir
    return home / ".cache" / "cgan"
