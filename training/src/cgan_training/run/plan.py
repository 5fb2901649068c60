"""Estimate the size and the duration of a run before it starts."""

from pathlib import Path

import torch

from cgan_training.data import Dataset
from cgan_training.engine import Trainer
from cgan_training.hardware.processes import ProcessGroup
from cgan_training.networks import parameter_count
from cgan_training.recipe import Recipe
from cgan_training.run.resume import start_from

WARM_UP_STEPS, TIMED_STEPS = 20, 40


def plan_run(
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    processes: ProcessGroup,
    start_from_run: Path | None = None,
) -> dict[str, str]:
    """Train a few steps without writing anything, and return sizes and times as a table of text.

    The arguments and errors are those of train().
    """
    trainer = Trainer(recipe, dataset, device, processes)
    if start_from_run is not None:
        start_from(trainer, start_from_run)
    trainer.train_epoch(lambda steps, _sums: steps < WARM_UP_STEPS)
    seconds, steps = trainer.seconds, trainer.step
    trainer.train_epoch(lambda done, _sums: done < steps + TIMED_STEPS)
    seconds_per_step = (trainer.seconds - seconds) / (trainer.step - steps)
    total = recipe.epochs * trainer.steps_per_epoch
    return {
        "generator size": f"{parameter_count(trainer.state.generator):,} parameters",
        "discriminator size": f"{parameter_count(trainer.state.discriminator):,} parameters",
        "steps": f"{total:,} ({trainer.steps_per_epoch:,} per epoch)",
        "estimated time": f"{total * seconds_per_step / 60:,.0f} minutes",
    }
