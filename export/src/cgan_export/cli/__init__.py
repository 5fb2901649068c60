"""The commands cgan-export and cgan-eval. Only these modules print."""

from cgan_runtime.cli import start


def cgan_export() -> None:
    """Run cgan-export."""
    start("cgan_export.cli.export")


def cgan_eval() -> None:
    """Run cgan-eval."""
    start("cgan_export.cli.evaluate")
