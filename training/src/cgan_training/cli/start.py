"""What cgan-train does with the values of its options."""

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
from cgan_training.cli.option_checks import RECIPE_OPTIONS, is_given, settings_without_effect
from cgan_training.cli.plan_text import format_plan
from cgan_training.cli.run_summary import summary_lines
from cgan_training.data import is_dataset_path
from cgan_training.errors import LaunchError, RecipeError, UserCodeError
from cgan_training.hardware.processes import Processes
from cgan_training.recipe import load_recipe, override, recipe_names
from cgan_training.user_code import is_user_code

if TYPE_CHECKING:
    from cgan_training.data import Dataset
    from cgan_training.recipe import Recipe
    from cgan_training.run import RunOptions

AUTO = "auto"  # the value of --recipe that chooses one of these by the images
AUTO_RECIPES = ("edge", "edge-texture", "edge-conv")
LAST_PARTS = {"edge-finish": "edge-long"}  # recipes that need a run of the other one
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arguments:
    """The values of the options of the same names."""

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


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Connect to the other processes, if there are any.

    Before that, rank 0 cannot report the errors of this process, which therefore prints them.
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
    saved = processes.on_rank_zero(partial(saved_values, arguments))
    saved_path = saved.pop("recipe_path", "")
    not_named = {key: each for key, each in saved.items() if not is_given(key)}
    arguments = replace(arguments, **not_named)
    named, changes = arguments.recipe, recipe_changes(arguments)
    source = f"{named} with --set" if arguments.overrides else named
    recipe = processes.on_rank_zero(partial(named_recipe, named, changes, source))
    require_named_code(arguments, not_named, recipe)

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
        _logger.warning(
            "%s. Training on %s instead: %s images, enlarged from 8 x 8 pixels, so the digits will "
            "be coarser.",
            *(problem, data.source, f"{len(data.labels):,}"),
        )
    device = processes.on_all(lambda: choose_device(arguments.device, processes))
    if recipe is None:
        name, reason = processes.on_rank_zero(lambda: choose_recipe(fingerprint(data)))
        _logger.info("chose the recipe %s: %s", name, reason)
        recipe = override(load_recipe(name), changes, f"{name} with --set")
    elif arguments.start_from is not None and "recipe" in not_named:
        _logger.info("took the recipe %s from %s", recipe.name, arguments.start_from)
    warn(recipe, arguments, data)
    recipe = resolve_precision(recipe, device)
    if arguments.dry_run:
        figures, trainer = fingerprint(data), Trainer(recipe, data, device, processes)
        plan = plan_run(trainer, figures, arguments.start_from)
        click.echo(format_plan(recipe, data, figures, plan))
        return
    for note in data.notes:
        _logger.info("note: %s", note)
    path = saved_path if named == saved.get("recipe") else recipe_path(named)
    options = run_options(arguments, data, path)
    run_dir = arguments.run_dir or default_run_dir(data.name)
    model = train(recipe, data, run_dir, device=device, options=options, processes=processes)
    if arguments.quiet:
        return
    click.echo(model, color=True)  # without color=True click removes escape codes from a path
    if processes.rank == 0:
        with suppress(OSError, CganError):  # of what is only a convenience
            for line in summary_lines(model, recipe):
                _logger.info("%s", line)


def warn(recipe: "Recipe", arguments: Arguments, data: "Dataset") -> None:
    """Log what a user of this recipe probably did not intend."""
    before = LAST_PARTS.get(recipe.name)
    if before is not None and arguments.start_from is None and arguments.resume is None:
        _logger.warning(
            "the recipe %s is the last part of a training, so it begins with random networks here; "
            "use --start-from RUN with a run of the recipe %s",
            *(recipe.name, before),
        )
    for text in settings_without_effect(recipe, arguments.keep_every, arguments.overrides, data):
        _logger.warning("%s", text)


def recipe_changes(arguments: Arguments) -> dict[str, Any]:
    """Return the recipe's values that the command line replaces, by key."""
    options = {key: getattr(arguments, key) for key in RECIPE_OPTIONS}
    return arguments.overrides | {key: each for key, each in options.items() if each is not None}


def named_recipe(name: str, changes: dict[str, Any], source: str) -> "Recipe | None":
    """Return a recipe with changes; None for AUTO, whose recipe the images choose later.

    Raises:
        RecipeError: a change does not fit the recipe, or none of those that AUTO can choose.
    """
    if name != AUTO:
        return override(load_recipe(name), changes, source)
    first, *others = AUTO_RECIPES
    for each in others:
        with suppress(RecipeError):
            override(load_recipe(each), changes, each)
            return None
    override(load_recipe(first), changes, f"{first} with --set")
    return None


def saved_values(arguments: Arguments) -> dict[str, Any]:
    """Return the values that the config.json of another run has for options, and its recipe_path.

    A resumed run takes all of them, and a run that starts from another one its recipe.
    """
    from cgan_training.run.config import saved_options

    if arguments.resume is not None:
        return saved_options(arguments.resume) | {"run_dir": arguments.resume}
    if arguments.start_from is not None and not is_given("recipe"):
        values = saved_options(arguments.start_from)
        return {key: values[key] for key in ("recipe", "recipe_path") if key in values}
    return {}


def require_named_code(
    arguments: Arguments, not_named: dict[str, Any], recipe: "Recipe | None"
) -> None:
    """Raise UserCodeError if a run would import code that only a config.json names.

    Args:
        arguments: the values that the run uses.
        not_named: those of them that come from a config.json, by option.
        recipe: the recipe of the run; None if the images choose it.
    """
    code, options = [], []
    if "recipe" in not_named and recipe is not None:
        code += [each for each in recipe.user_code if each not in arguments.overrides.values()]
    if code:
        options.append(f"--recipe {shlex.quote(arguments.recipe)}")
    if "dataset" in not_named and is_user_code(arguments.dataset):
        code.append(arguments.dataset)
        options.append(f"--dataset {arguments.dataset}")
    if code:
        folder = arguments.resume or arguments.start_from
        raise UserCodeError(
            f"the run in {folder} uses your code {', '.join(code)}, which is imported only if you "
            f"name it; name it with {' '.join(options)}"
        )


def default_run_dir(dataset: str) -> Path:
    """Return the run directory for a dataset, named after it, without the suffix .npz."""
    name = re.sub(r"\.npz$", "", dataset, flags=re.IGNORECASE)
    return Path("runs") / to_file_name(name, kept="_.", default="dataset")


def run_options(arguments: Arguments, data: "Dataset", recipe_path: str) -> "RunOptions":
    """Return the options of the run."""
    from cgan_training.evaluation.epoch_evaluator import EpochEvaluator
    from cgan_training.run import RunOptions

    is_path, data_dir = is_dataset_path(arguments.dataset), Path(arguments.data_dir).resolve()
    name = str(Path(arguments.dataset).resolve()) if is_path else data.name
    stderr_is_terminal = sys.stderr is not None and sys.stderr.isatty()  # None if it was closed
    return RunOptions(
        seconds_limit=None if arguments.minutes is None else arguments.minutes * 60,
        checkpoint_seconds=arguments.checkpoint_minutes * 60,
        keep_every=arguments.keep_every,
        resume=arguments.resume is not None,
        start_from=arguments.start_from,
        create_evaluator=partial(EpochEvaluator, data, name, data_dir, arguments.cache_dir),
        eval_every=arguments.eval_every,
        tensorboard=arguments.tensorboard,
        progress_bar=not arguments.quiet and stderr_is_terminal,
        dataset_argument=name,
        data_dir=str(data_dir),
        recipe_path=recipe_path,
    )


def recipe_path(recipe: str) -> str:
    """Return the absolute path of a recipe file, or an empty text for a built-in recipe."""
    return "" if recipe in (AUTO, *recipe_names()) else str(Path(recipe).resolve())
