"""Setup for all commands that load PyTorch."""

import logging
import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from cgan_runtime.cli.runner import require_memory
from cgan_runtime.errors import printable
from cgan_runtime.thread_limit import startable_threads

LIBRARY_THREADS = 2  # number of threads that memory allocators of libraries may start later
MIN_MEGABYTES = 1280  # address space that Python, PyTorch and its libraries need


def prepare_for_torch() -> None:
    """Set a variable that GNU OpenMP reads when PyTorch loads it, and check the memory limit.

    GNU OpenMP's threads spin while they wait for each other. Beside another busy process this makes
    training ten times slower, so the variable lets them sleep sooner. That costs nothing on an idle
    machine.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    require_memory(MIN_MEGABYTES, "PyTorch")


def limit_threads(threads: int | None) -> None:
    """Let PyTorch use this many threads, or one per core, but at most as many as can start.

    GNU OpenMP ends the process if the system refuses a thread.
    """
    import torch

    wanted = threads or torch.get_num_threads()
    startable = startable_threads(wanted + LIBRARY_THREADS) - LIBRARY_THREADS
    torch.set_num_threads(max(1, startable))


def default_cache_dir() -> Path:
    """Return the default of --cache-dir, the folder of trained evaluation classifiers."""
    try:
        home = Path.home()
    except RuntimeError:  # the user has no home directory
        home = Path(os.devnull)  # a write below it fails with a message that names --cache-dir
    return home / ".cache" / "cgan"


class StderrHandler(logging.Handler):
    """Prints log records to stderr, one line each. On a terminal, warnings are in color."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        with suppress(OSError):  # a closed terminal must not end the work
            text = printable(record.getMessage())
            if record.levelno < logging.WARNING:
                click.echo(text, err=True)
            else:
                click.secho(f"WARNING: {text}", fg="yellow", bold=True, err=True)


def log_to_stderr(*packages: str, quiet: bool) -> None:
    """Print the logs of packages until the command ends. With `quiet`, print only warnings."""
    handler, context = StderrHandler(), click.get_current_context()
    handler.setLevel(logging.WARNING if quiet else logging.INFO)
    for logger in map(logging.getLogger, packages):
        context.call_on_close(partial(logger.setLevel, logger.level))
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        context.call_on_close(partial(logger.removeHandler, handler))
