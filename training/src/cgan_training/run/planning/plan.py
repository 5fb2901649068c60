"""The plan of a run: its size, its estimated time, and the adjustments for the dataset."""

import copy
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from cgan_training.data.fingerprint import Fingerprint
from cgan_training.engine import Trainer
from cgan_training.engine.augmentation import SMALL_DATASET
from cgan_training.networks import parameter_count
from cgan_training.run.resume import start_from

WARM_UP_STEPS, TIMED_STEPS = 20, 40  # training steps before the measurement and during it
SPEED_BATCH, SPEED_CALLS = 100, 10  # images per timed call of the generator, and number of calls
MAX_IMBALANCE = 2.0  # a larger ratio of the largest class to the smallest one is reported


@dataclass(frozen=True)
class Plan:
    """The size and the estimated time of a run."""

    generator_parameters: int
    discriminator_parameters: int
    steps: int
    steps_per_epoch: int
    minutes: float  # training time on this machine
    microseconds_per_image: float  # generation time in PyTorch, in batches of SPEED_BATCH
    changes: tuple[str, ...]  # what the run does because of the dataset


def plan_run(trainer: Trainer, fingerprint: Fingerprint, start_from_run: Path | None) -> Plan:
    """Return the plan of a run, after training and generating for a few steps."""
    if start_from_run is not None:
        start_from(trainer, start_from_run)
    trainer.train_epoch(lambda steps, _sums: steps < WARM_UP_STEPS)
    seconds, steps = trainer.seconds, trainer.step
    trainer.train_epoch(lambda done, _sums: done < steps + TIMED_STEPS)  # continues the epoch
    seconds_per_step = (trainer.seconds - seconds) / (trainer.step - steps)
    total = trainer.recipe.epochs * trainer.steps_per_epoch
    return Plan(
        generator_parameters=parameter_count(trainer.state.generator),
        discriminator_parameters=parameter_count(trainer.state.discriminator),
        steps=total,
        steps_per_epoch=trainer.steps_per_epoch,
        minutes=total * seconds_per_step / 60,
        microseconds_per_image=_microseconds_per_image(trainer),
        changes=_changes(trainer, fingerprint),
    )


def _microseconds_per_image(trainer: Trainer) -> float:
    """Return the shortest measured generation time per image."""
    generator = copy.deepcopy(trainer.state.generator).cpu().eval()
    noise = torch.randn(SPEED_BATCH, generator.noise_dim)
    label = torch.arange(SPEED_BATCH) % generator.classes
    seconds = []
    with torch.inference_mode():
        for _ in range(SPEED_CALLS):
            start = time.perf_counter()
            generator(noise, label)
            seconds.append(time.perf_counter() - start)
    return min(seconds) / SPEED_BATCH * 1e6


def _changes(trainer: Trainer, fingerprint: Fingerprint) -> tuple[str, ...]:
    """Return a text for each adjustment for the dataset."""
    recipe, changes = trainer.recipe, list(trainer.dataset.notes)
    if trainer.augment_probability:
        changes.append(
            f"images are augmented with probability {trainer.augment_probability:g}, because there "
            f"are fewer than {SMALL_DATASET:,}"
        )
    if trainer.passes_per_epoch > 1:
        changes.append(
            f"an epoch repeats the images {trainer.passes_per_epoch:,} times, because "
            f"min_images_per_epoch is {recipe.min_images_per_epoch:,}"
        )
    if trainer.batch_size < recipe.batch_size:
        changes.append(
            f"a batch has only {trainer.batch_size:,} images, the whole dataset, although "
            f"batch_size is {recipe.batch_size:,}"
        )
    if fingerprint.imbalance > MAX_IMBALANCE:
        changes.append(
            f"the largest class has {fingerprint.imbalance:,.1f} times the images of the smallest "
            "one, but the generator is trained on all labels equally often"
        )
    return tuple(changes)
