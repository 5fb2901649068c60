"""What cgan-train does with the values of its options."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cgan_training.cli.common import echo_line, limit_threads
from cgan_training.cli.plan_text import format_plan
from cgan_training.data import is_dataset_path
from cgan_training.errors import LaunchError, UserCodeError
from cgan_training.hardware.processes import ProcessGroup
from cgan_training.recipe import load_recipe, recipe_names
from cgan_training.user_code import is_user_code

if TYPE_CHECKING:
    from cgan_training.data import Dataset
    from cgan_training.recipe import Recipe
    from cgan_training.run import RunOptions

AUTO = "auto"  # the value of --recipe that chooses by the images


@dataclass(frozen=True)
class Arguments:
    """The values of the options of the same names."""

    recipe: str
    run_dir: Path
    resume: Path | None
    start_from: Path | None
    dry_run: bool
    dataset: str
    data_dir: Path
    image_size: tuple[int, int] | None
    grayscale: bool
    epochs: int | None
    precision: str | None
    seed: int | None
    minutes: float | None
    checkpoint_minutes: float
    keep_every: int
    eval_every: int
    cache_dir: Path
    tensorboard: bool
    device: str
    threads: int | None


@contextmanager
def join_processes() -> Iterator[ProcessGroup]:
    """Connect to the other processes, if there are any.

    Before that, rank 0 cannot report the errors of this process, which therefore prints them.
    """
    try:
        group = ProcessGroup.from_environment()
    except LaunchError as error:
        raise click.UsageError(str(error)) from error
    stderr = sys.stderr
    if group.rank:
        sys.stderr = sys.__stderr__
    with group.joined() as processes:
        sys.stderr = stderr
        yield processes


def start(arguments: Arguments, processes: ProcessGroup) -> None:
    """Load the recipe and the dataset, then print the plan or train."""
    saved: dict[str, Any] = {}
    not_named: dict[str, Any] = {}  # the saved values that are used
    resume = arguments.resume
    if resume is not None:
        from cgan_training.run.config import saved_options

        saved = processes.on_rank_zero(lambda: saved_options(resume))
        not_named = not_given(saved)
        arguments = replace(arguments, run_dir=resume, **not_named)
    changes: dict[str, Any] = {
        key: value
        for key in ("epochs", "precision", "seed")
        if (value := getattr(arguments, key)) is not None
    }
    named = arguments.recipe
    recipe = processes.on_rank_zero(lambda: None if named == AUTO else load_recipe(named))
    require_named_code(not_named, recipe)

    from cgan_training.data import Conversion, load_dataset
    from cgan_training.data.fingerprint import fingerprint
    from cgan_training.engine import Trainer
    from cgan_training.hardware.devices import choose_device
    from cgan_training.hardware.precision import resolve_precision
    from cgan_training.run import choose_recipe, plan_run, train

    limit_threads(arguments.threads)
    data_dir = Path(arguments.data_dir)
    conversion = Conversion(arguments.image_size, 1 if arguments.grayscale else None)
    data, problem = processes.rank_zero_first(
        lambda: load_dataset(arguments.dataset, data_dir, conversion=conversion)
    )
    if problem is not None:
        warning = (
            f"WARNING: {problem}. Training on {data.source} instead: {len(data.labels):,} images, "
            "enlarged from 8 x 8 pixels, so the digits will be coarser."
        )
        click.secho(warning, fg="yellow", bold=True, err=True)
    device = processes.on_all(lambda: choose_device(arguments.device, processes))
    if recipe is None:
        name, reason = processes.on_rank_zero(lambda: choose_recipe(fingerprint(data)))
        echo_line(f"chose the recipe {name}: {reason}")
        recipe = load_recipe(name)
    recipe = resolve_precision(replace(recipe, **changes), device)
    size = processes.size
    place = f"{device.type} in {size} processes" if size > 1 else device
    echo_line(
        f"recipe {recipe.name}: {recipe.epochs} epoch{'s' * (recipe.epochs > 1)} on "
        f"{len(data.labels):,} images ({data.source}), on {place}, into {arguments.run_dir}"
    )
    if arguments.dry_run:
        figures, trainer = fingerprint(data), Trainer(recipe, data, device, processes)
        plan = plan_run(trainer, figures, arguments.start_from)
        click.echo(format_plan(recipe, data, figures, plan))
        return
    for note in data.notes:
        echo_line(f"note: {note}")
    options = run_options(arguments, data, recipe_path(arguments.recipe, saved))
    path = train(
        recipe, data, arguments.run_dir, device=device, options=options, processes=processes
    )
    click.echo(path, color=True)  # without color=True click removes escape codes from a path


def not_given(saved: dict[str, Any]) -> dict[str, Any]:
    """Return the saved values of options that are not on the command line."""
    source = click.get_current_context().get_parameter_source
    return {key: each for key, each in saved.items() if source(key) is ParameterSource.DEFAULT}


def require_named_code(not_named: dict[str, Any], recipe: "Recipe | None") -> None:
    """Raise UserCodeError if a resumed run would import code that only its config.json names.

    Args:
        not_named: the values of config.json that are used, by option.
        recipe: the recipe of the run; None if the images choose it.
    """
    code, options = [], []
    if "recipe" in not_named and recipe is not None and recipe.user_code:
        code += recipe.user_code
        options.append(f"--recipe {not_named['recipe']}")
    if "dataset" in not_named and is_user_code(not_named["dataset"]):
        code.append(not_named["dataset"])
        options.append(f"--dataset {not_named['dataset']}")
    if code:
        raise UserCodeError(
            f"the run uses your code {', '.join(code)}, which is imported only if you name it; "
            f"resume it with {' '.join(options)}"
        )


def run_options(arguments: Arguments, data: "Dataset", recipe_path: str) -> "RunOptions":
    """Return the options of the run."""
    from cgan_training.evaluation.epoch_evaluator import EpochEvaluator
    from cgan_training.run import RunOptions

    is_path, data_dir = is_dataset_path(arguments.dataset), Path(arguments.data_dir).resolve()
    name = str(Path(arguments.dataset).resolve()) if is_path else data.name
    if arguments.eval_every:
        echo_line("the evaluation classifier is trained on first use, which takes some minutes")
    return RunOptions(
        seconds_limit=None if arguments.minutes is None else arguments.minutes * 60,
        checkpoint_seconds=arguments.checkpoint_minutes * 60,
        keep_every=arguments.keep_every,
        resume=arguments.resume is not None,
        start_from=arguments.start_from,
        create_evaluator=partial(EpochEvaluator, data, name, data_dir, arguments.cache_dir),
        eval_every=arguments.eval_every,
        tensorboard=arguments.tensorboard,
        progress_bar=sys.stderr is not None and sys.stderr.isatty(),  # None if it was closed
        dataset_argument=name,
        data_dir=str(data_dir),
        recipe_path=recipe_path,
    )


def recipe_path(recipe: str, saved: dict[str, Any]) -> str:
    """Return the absolute path of a recipe file, or an empty text for a built-in recipe."""
    if recipe == saved.get("recipe"):  # the run's config.json, which is a copy
        return str(saved.get("recipe_path", ""))
    return "" if recipe in (AUTO, *recipe_names()) else str(Path(recipe).resolve())
