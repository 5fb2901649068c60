"""The command cgan-train, and setup that it shares with the commands of cgan_export."""

from cgan_runtime.cli import start


def cgan_train() -> None:
    """Run cgan-train."""
    start("cgan_training.cli.train")
