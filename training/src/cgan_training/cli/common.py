"""Setup for all commands that load PyTorch."""

import os
from pathlib import Path

from cgan_runtime.cli.runner import require_memory

MIN_MEGABYTES = 1280  # of address space: Python, PyTorch and its libraries


def prepare_for_torch() -> None:
    """Set an environment variable that PyTorch reads at import, and check the memory limit.

    GNU OpenMP's threads spin while they wait for each other. Beside another busy process this makes
    training ten times slower, so they sleep sooner here. On an idle machine it costs nothing.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    require_memory(MIN_MEGABYTES, "PyTorch")


def default_cache_dir() -> Path:
    """Return the default of --cache-dir, the folder of trained evaluation classifiers."""
    try:
        home = Path.home()
    except RuntimeError:  # the user has no home directory
        home = Path(os.devnull)  # writing below it fails with a message that names --cache-dir
    return home / ".cache" / "cgan"
