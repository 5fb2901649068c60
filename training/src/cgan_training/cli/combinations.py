"""Options of cgan-train that contradict each other."""

import shlex
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

RECIPE_OPTIONS = ("epochs", "precision", "seed")  # each of them sets the recipe's key of its name


def is_given(name: str) -> bool:
    """Return whether the option of a parameter is on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def check_combinations(values: dict[str, Any]) -> None:
    """Raise click.UsageError if values of options, by parameter, contradict each other."""
    resumed: Path | None = values["resume"]
    if resumed is not None:
        _check_resume(resumed, values)
    for name in RECIPE_OPTIONS:
        if values[name] is not None and name in values["overrides"]:
            raise click.UsageError(f"--{name} and --set {name}=... are the same; give one of them")


def _check_resume(resumed: Path, values: dict[str, Any]) -> None:
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
