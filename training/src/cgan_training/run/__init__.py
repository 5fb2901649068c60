"""A training run: its directory, checkpoints, progress and the files that it leaves behind."""

from cgan_training.run.config import read_config
from cgan_training.run.options import RunOptions
from cgan_training.run.training import train

__all__ = ["RunOptions", "read_config", "train"]
