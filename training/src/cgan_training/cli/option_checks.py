"""Checks for options of cgan-train that contradict each other or have no effect."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cgan_training.recipe import RECIPE_OPTIONS

if TYPE_CHECKING:
    from cgan_training.data import Dataset
    from cgan_training.recipe import Recipe


def is_given(name: str) -> bool:
    """Return whether the user gave an option, on the command line or by environment variable."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def check_combinations(values: dict[str, Any]) -> None:
    """Raise click.UsageError if options, a mapping of names to values, contradict each other."""
    resumed: Path | None = values["resume"]
    if resumed is not None:
        _check_resume(resumed, values)
    for name in RECIPE_OPTIONS:
        if values[name] is not None and name in values["overrides"]:
            raise click.UsageError(f"--{name} and --set {name}=... are the same; give one of them")


def _check_resume(resumed: Path, values: dict[str, Any]) -> None:
    """Raise click.UsageError if an option contradicts --resume."""
    if values["start_from"] is not None:
        raise click.UsageError(
            "--resume continues a run and --start-from begins a new one; give one of them"
        )
    start_from = f"--start-from {shlex.quote(str(resumed))}"
    if values["overrides"]:
        raise click.UsageError(
            "--set changes the recipe, but --resume continues a run with its own; omit --set, or "
            f"begin a new run from its networks with {start_from}"
        )
    if values["dry_run"]:
        raise click.UsageError(
            "--dry-run describes a new run, but --resume continues one; give one of them"
        )
    if is_given("run_dir") and values["run_dir"].resolve() != resumed.resolve():
        raise click.UsageError(
            f"--resume continues the run in its own directory, {resumed}; omit --run-dir, or begin "
            f"a new run from its networks with {start_from}"
        )


def settings_without_effect(
    recipe: "Recipe", keep_every: int, overrides: Mapping[str, Any], data: "Dataset"
) -> Iterator[str]:
    """Yield a text for each setting that has no effect in this run.

    Built-in recipes contain keys that have no effect on some datasets. Such a key is reported only
    if the user set it, that is, if it is in `overrides`.
    """
    from cgan_training.engine.augmentation import SMALL_DATASET

    epochs, images = recipe.epochs, len(data.labels)
    run = "because the run has " + ("1 epoch" if epochs == 1 else f"{epochs:,} epochs")
    if keep_every > epochs:
        yield f"--keep-every {keep_every:,} keeps no generator, {run}; use --keep-every {epochs:,}"
    late = [f"{epoch:,}" for epoch in recipe.lr_restarts if epoch >= epochs]
    if late:
        yield (
            f"lr_restarts has no effect at epoch {', '.join(late)}, {run}; "
            "train longer, or change it"
        )
    if "loss.r1_interval" in overrides and not recipe.loss.r1_weight:
        yield "loss.r1_interval has no effect, because loss.r1_weight is 0; set both"
    if "augment_probability" in overrides and images >= SMALL_DATASET:
        yield (
            f"augment_probability has no effect, because the dataset has {images:,} images, and "
            f"only datasets of fewer than {SMALL_DATASET:,} are augmented"
        )
    if "batch_size" in overrides and recipe.batch_size > images:
        yield (
            f"batch_size {recipe.batch_size:,} has no effect, because the dataset has {images:,} "
            "images; a batch has all of them"
        )
