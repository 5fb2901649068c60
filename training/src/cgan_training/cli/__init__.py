"""The command cgan-train, and what the commands that load PyTorch share."""

from cgan_runtime.cli import start


def cgan_train() -> None:
    """Run cgan-train."""
    start("cgan_training.cli.train")
