"""Run cgan-train with the values of its options: print the plan, or train."""

import logging
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_runtime.errors import CganError
from cgan_runtime.files import to_file_name
from cgan_training.cli.common import limit_threads
from cgan_training.cli.option_checks import is_given, settings_without_effect
from cgan_training.cli.plan_text import format_plan
from cgan_training.cli.run_summary import summary_lines
from cgan_training.data import is_dataset_path
from cgan_training.errors import LaunchError, RecipeError, UserCodeError
from cgan_training.hardware.processes import Processes
from cgan_training.recipe import RECIPE_OPTIONS, load_recipe, override, recipe_names
from cgan_training.user_code import is_user_code

if TYPE_CHECKING:
    from cgan_training.data import Dataset
    from cgan_training.engine import Trainer
    from cgan_training.recipe import Recipe
    from cgan_training.run import RunOptions

AUTO = "auto"  # value of --recipe: one of AUTO_RECIPES is chosen by the images
AUTO_RECIPES = ("edge", "edge-texture", "edge-conv")
CONTINUED_RECIPES = {"edge-finish": "edge-long"}  # recipe -> recipe of the run to start from
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arguments:
    """The values of the options, and which of them come from a config.json."""

    recipe: str
    overrides: dict[str, Any]
    run_dir: Path | None
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
    quiet: bool
    from_config: frozenset[str] = frozenset()  # options whose values come from a config.json
    saved_recipe_path: str | None = None  # recipe_path in config.json, if its recipe is used


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Connect to the other processes, if there are any.

    Until they are connected, each process prints its own errors, because rank 0 cannot.
    """
    try:
        group = Processes.from_environment()
    except LaunchError as error:
        raise click.UsageError(str(error)) from error
    stderr = sys.stderr
    if group.rank:
        sys.stderr = sys.__stderr__
    with group.joined() as processes:
        sys.stderr = stderr
        yield processes


def start(arguments: Arguments, processes: Processes) -> None:
    """Load the recipe and the dataset, then print the plan or train."""
    arguments = complete_arguments(arguments, processes)
    recipe = processes.on_rank_zero(partial(requested_recipe, arguments))
    require_explicit_code(arguments, recipe)

    from cgan_training.engine import Trainer
    from cgan_training.hardware.devices import choose_device
    from cgan_training.hardware.precision import resolve_precision
    from cgan_training.run import train

    limit_threads(arguments.threads)
    data = load_data(arguments, processes)
    device = processes.on_all(lambda: choose_device(arguments.device, processes))
    recipe = recipe or choose_recipe_for(data, arguments, processes)
    if arguments.start_from is not None and "recipe" in arguments.from_config:
        _logger.info("using the recipe %s of %s", recipe.name, arguments.start_from)
    warn(recipe, arguments, data)
    recipe = resolve_precision(recipe, device)
    if arguments.dry_run:
        print_plan(Trainer(recipe, data, device, processes), arguments.start_from)
        return
    for note in data.notes:
        _logger.info("note: %s", note)
    options = run_options(arguments, data)
    run_dir = arguments.run_dir or default_run_dir(data.name)
    model = train(recipe, data, run_dir, device=device, options=options, processes=processes)
    if not arguments.quiet:
        print_summary(model, recipe, processes)


def complete_arguments(arguments: Arguments, processes: Processes) -> Arguments:
    """Use values of the run of --resume or --start-from for options that the user did not give."""
    saved = processes.on_rank_zero(partial(saved_values, arguments))
    saved_path = saved.pop("recipe_path", "")
    values = {name: value for name, value in saved.items() if not is_given(name)}
    uses_saved_recipe = values.get("recipe", arguments.recipe) == saved.get("recipe")
    path = saved_path if uses_saved_recipe else None
    return replace(arguments, **values, from_config=frozenset(values), saved_recipe_path=path)


def load_data(arguments: Arguments, processes: Processes) -> "Dataset":
    """Load the dataset; warn if it replaces another one that could not be downloaded."""
    from cgan_training.data import Conversion, load_dataset

    data_dir = Path(arguments.data_dir)
    conversion = Conversion(arguments.image_size, 1 if arguments.grayscale else None)
    data, problem = processes.rank_zero_first(
        lambda: load_dataset(arguments.dataset, data_dir, conversion=conversion)
    )
    if problem is not None:
        text = f"Training on {data.source} instead. Its digits are coarser: 8 x 8 pixels, enlarged."
        _logger.warning("%s. %s", problem, text)
    return data


def choose_recipe_for(data: "Dataset", arguments: Arguments, processes: Processes) -> "Recipe":
    """Return the recipe that AUTO chooses by the images, with the changes of the command line."""
    from cgan_training.data.fingerprint import fingerprint
    from cgan_training.run import choose_recipe

    name, reason = processes.on_rank_zero(lambda: choose_recipe(fingerprint(data)))
    _logger.info("using the recipe %s: %s", name, reason)
    return changed_recipe(name, arguments)


def print_plan(trainer: "Trainer", start_from: Path | None) -> None:
    """Print the dataset, the recipe and the plan of a run."""
    from cgan_training.data.fingerprint import fingerprint
    from cgan_training.run import plan_run

    recipe, data = trainer.recipe, trainer.dataset
    statistics = fingerprint(data)
    click.echo(format_plan(recipe, data, statistics, plan_run(trainer, statistics, start_from)))


def print_summary(model: Path, recipe: "Recipe", processes: Processes) -> None:
    """Print the path of the model, and log the results of the run and the next commands."""
    click.echo(model, color=True)  # without color=True click removes escape codes from a path
    if processes.rank == 0:
        with suppress(OSError, CganError):  # the summary is optional
            for line in summary_lines(model, recipe):
                _logger.info("%s", line)


def warn(recipe: "Recipe", arguments: Arguments, data: "Dataset") -> None:
    """Warn about settings that the user probably did not intend."""
    continued = CONTINUED_RECIPES.get(recipe.name)
    if continued is not None and arguments.start_from is None and arguments.resume is None:
        _logger.warning(
            "the recipe %s is meant to continue a run of the recipe %s, but this run starts from "
            "random weights; use --start-from RUN",
            recipe.name,
            continued,
        )
    for text in settings_without_effect(recipe, arguments.keep_every, arguments.overrides, data):
        _logger.warning("%s", text)


def changed_recipe(name: str, arguments: Arguments) -> "Recipe":
    """Return a recipe with the changes of the command line."""
    options = {key: getattr(arguments, key) for key in RECIPE_OPTIONS}
    given = {key: value for key, value in options.items() if value is not None}
    source = f"{name} with --set" if arguments.overrides else name
    return override(load_recipe(name), arguments.overrides | given, source)


def requested_recipe(arguments: Arguments) -> "Recipe | None":
    """Return the recipe of --recipe; None for AUTO, which needs the loaded dataset.

    Raises:
        RecipeError: a change is invalid for the recipe, or with AUTO for each of AUTO_RECIPES.
    """
    if arguments.recipe != AUTO:
        return changed_recipe(arguments.recipe, arguments)
    for name in AUTO_RECIPES:
        with suppress(RecipeError):
            changed_recipe(name, arguments)
            return None
    return changed_recipe(AUTO_RECIPES[0], arguments)  # raises its error


def saved_values(arguments: Arguments) -> dict[str, Any]:
    """Return option values of the run that --resume or --start-from names, from its config.json.

    --resume takes all of them. --start-from takes only recipe and recipe_path, and only if --recipe
    is not given.
    """
    from cgan_training.run.config import saved_options

    if arguments.resume is not None:
        return saved_options(arguments.resume) | {"run_dir": arguments.resume}
    if arguments.start_from is not None and not is_given("recipe"):
        values = saved_options(arguments.start_from)
        return {key: values[key] for key in ("recipe", "recipe_path") if key in values}
    return {}


def require_explicit_code(arguments: Arguments, recipe: "Recipe | None") -> None:
    """Raise UserCodeError if a run would import code that only a config.json names."""
    code, options = [], []
    if "recipe" in arguments.from_config and recipe is not None:
        code += [name for name in recipe.user_code if name not in arguments.overrides.values()]
    if code:
        options.append(f"--recipe {shlex.quote(arguments.recipe)}")
    if "dataset" in arguments.from_config and is_user_code(arguments.dataset):
        code.append(arguments.dataset)
        options.append(f"--dataset {arguments.dataset}")
    if code:
        folder = arguments.resume or arguments.start_from
        raise UserCodeError(
            f"the run in {folder} uses your code {', '.join(code)}, which is imported only if the "
            f"command line names it; add {' '.join(options)}"
        )


def default_run_dir(dataset: str) -> Path:
    """Return the run directory for a dataset, named after it, without the suffix .npz."""
    name = re.sub(r"\.npz$", "", dataset, flags=re.IGNORECASE)
    return Path("runs") / to_file_name(name, kept="_.", default="dataset")


def run_options(arguments: Arguments, data: "Dataset") -> "RunOptions":
    """Return the options of the run."""
    from cgan_training.evaluation.epoch_evaluator import EpochEvaluator
    from cgan_training.run import RunOptions

    is_path, data_dir = is_dataset_path(arguments.dataset), Path(arguments.data_dir).resolve()
    name = str(Path(arguments.dataset).resolve()) if is_path else data.name
    path = arguments.saved_recipe_path
    has_terminal = sys.stderr is not None and sys.stderr.isatty()  # stderr is None if closed
    return RunOptions(
        seconds_limit=None if arguments.minutes is None else arguments.minutes * 60,
        checkpoint_seconds=arguments.checkpoint_minutes * 60,
        keep_every=arguments.keep_every,
        resume=arguments.resume is not None,
        start_from=arguments.start_from,
        create_evaluator=partial(EpochEvaluator, data, name, data_dir, arguments.cache_dir),
        eval_every=arguments.eval_every,
        tensorboard=arguments.tensorboard,
        progress_bar=not arguments.quiet and has_terminal,
        dataset_argument=name,
        data_dir=str(data_dir),
        recipe_path=recipe_path(arguments.recipe) if path is None else path,
    )


def recipe_path(recipe: str) -> str:
    """Return the absolute path of a recipe's file, or an empty text for a built-in recipe."""
    return "" if recipe in (AUTO, *recipe_names()) else str(Path(recipe).resolve())
