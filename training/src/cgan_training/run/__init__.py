"""A whole training run: its directory, checkpoints, pictures and progress."""

from cgan_training.run.options import RunOptions
from cgan_training.run.training import read_config, train

__all__ = ["RunOptions", "read_config", "train"]
