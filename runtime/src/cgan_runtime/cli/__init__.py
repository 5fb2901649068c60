"""The commands cgan-run, cgan-check and cgan-bulk: one module each, and the modules they share.

The functions here are the entry points of the installed commands. This module imports nothing, so
that a signal is handled from the first moment.
"""


def start(module: str) -> None:
    """Run the function main() of a command's module.

    Until the command runs, and after it has ended, a signal ends the process at once. The import of
    a command takes time, and an exception that a signal handler raises during an import can be lost
    or become an ImportError.
    """
    try:
        from cgan_runtime.cli import signals

        signals.install_handler(signals.exit_at_once)
        from importlib import import_module

        import_module(module).main()
    except KeyboardInterrupt:  # Python's own handler was still installed
        import os

        os.write(2, b"error: interrupted\n")
        os._exit(130)


def cgan_run() -> None:
    """Run cgan-run."""
    start("cgan_runtime.cli.run")


def cgan_check() -> None:
    """Run cgan-check."""
    start("cgan_runtime.cli.check")


def cgan_bulk() -> None:
    """Run cgan-bulk."""
    start("cgan_runtime.cli.bulk")
