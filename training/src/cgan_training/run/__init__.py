"""A training run: its directory, checkpoints, progress and the files that it writes."""

from cgan_training.run.config import RunOptions, read_config
from cgan_training.run.metrics import read_metrics
from cgan_training.run.planning.plan import plan_run
from cgan_training.run.planning.recipe_choice import choose_recipe
from cgan_training.run.training import train

__all__ = ["RunOptions", "choose_recipe", "plan_run", "read_config", "read_metrics", "train"]
