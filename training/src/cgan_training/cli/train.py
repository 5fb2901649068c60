"""The command cgan-train."""

import math
import os
import time
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cgan_runtime.cli import conventions
from cgan_training import __version__
from cgan_training.cli import common
from cgan_training.data import DATASETS, is_dataset_folder
from cgan_training.hardware.processes import ProcessGroup, leave

if TYPE_CHECKING:
    from cgan_training.engine.trainer import Trainer

DEVICES = ("cpu", "cuda", "mps")
LAST_WORD_SECONDS = 1.0
MOST_EPOCHS = 2**31 - 1  # as recipe.py has it, whose import costs more than --help may
TRIAL_STEPS = 40  # that --dry-run trains to estimate the time
# Not the docstring: python -OO drops those.
HELP = """\
Train a conditional GAN that draws the digit it is asked for.

The run directory holds config.json, metrics.jsonl, a sample sheet of every epoch in
samples/, samples.webp, grid.png, curves.png, checkpoint.pt, and model.pt for cgan-export.
"""
EXAMPLES = """\b
Examples:
  cgan-train                               the default recipe into runs/digits
  cgan-train --recipe seed                 the classic of 2014, for an hour
  cgan-train --data-dir ~/data --epochs 100
  cgan-train --resume runs/digits
  cgan-train --dataset optdigits --minutes 5 --run-dir runs/quick
  cgan-train --dataset fashion-mnist --run-dir runs/fashion
  cgan-train --dataset ./shapes --run-dir runs/shapes
  cgan-train --start-from runs/digits --dataset ./mine --run-dir runs/mine
"""


def check_minutes(
    _ctx: click.Context, _param: click.Parameter, value: float | None
) -> float | None:
    """Refuse what is no number, which no range of click's does."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is no number of minutes")
    return value


def check_dataset(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Refuse a name that is neither a data set's nor a folder's."""
    if value not in DATASETS and not is_dataset_folder(value):
        raise click.BadParameter(
            f"{value!r} is not one of {', '.join(DATASETS)}, nor a folder that is here"
        )
    return value


@click.command("cgan-train", help=HELP, epilog=EXAMPLES)
@click.option(
    "--recipe",
    help="How to train: a recipe's name, a TOML file of the same keys, or the config.json of a "
    "run.  [default: edge]",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/digits"),
    show_default=True,
    help="Where the run is written; must hold no other run.",
)
@click.option(
    "--resume",
    metavar="RUN_DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Go on with the run in this folder, with its recipe, data, device and threads.",
)
@click.option(
    "--start-from",
    metavar="RUN_DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Begin with the networks of the run in this folder, not with random ones: to learn other "
    "data of the same size, or by another recipe.",
)
@click.option("--list-recipes", is_flag=True, help="List the recipes that the package carries.")
@click.option(
    "--dry-run", is_flag=True, help="Print the plan, with an estimate of the time, and train not."
)
@click.option(
    "--dataset",
    metavar=f"[{'|'.join(DATASETS)}|FOLDER]",
    callback=check_dataset,
    default="auto",
    show_default=True,
    help="What to learn: a data set's name, or a folder of IDX files in MNIST's layout, with "
    "class names in classes.txt. auto: MNIST where it is on disk or can be downloaded, otherwise "
    "the small set that scikit-learn carries.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    envvar="CGAN_DATA_DIR",
    show_envvar=True,
    help="torchvision's root: MNIST lies, or is put, in its folder MNIST/raw; the others likewise.",
)
@click.option("--epochs", type=click.IntRange(1, MOST_EPOCHS), help="Instead of the recipe's.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "tf32", "bf16", "auto"]),
    help="Instead of the recipe's.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Instead of the recipe's.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    callback=check_minutes,
    help="Stop training after this long, finished or not.",
)
@click.option(
    "--checkpoint-minutes",
    type=click.FloatRange(0, min_open=True),
    callback=check_minutes,
    default=5.0,
    show_default=True,
    help="Longest time between two checkpoints; one is written after each epoch too.",
)
@click.option(
    "--keep-every",
    type=click.IntRange(0, MOST_EPOCHS),
    help="Also keep the generator of every so many epochs, in RUN_DIR/models.",
)
@click.option(
    "--eval-every",
    type=click.IntRange(0, MOST_EPOCHS),
    help="Measure the quality of every so many epochs, with a judge that is trained at first use "
    "(some minutes) and kept in --cache-dir.",
)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=common.default_cache_dir,
    show_default="~/.cache/cgan",
    help="Where the judge is kept.",
)
@click.option(
    "--tensorboard",
    is_flag=True,
    help="Also write TensorBoard's files, in RUN_DIR/tensorboard (extra: tensorboard).",
)
@click.option(
    "--device",
    type=click.Choice(["auto", *DEVICES]),
    default="auto",
    show_default=True,
    help="Where to train. auto: cuda where there is one, then mps (Apple's), then cpu.",
)
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="CPU threads.  [default: one for each core]"
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(
    recipe: str | None,
    run_dir: Path,
    resume: Path | None,
    start_from: Path | None,
    list_recipes: bool,
    dry_run: bool,
    dataset: str,
    data_dir: Path,
    epochs: int | None,
    precision: str | None,
    seed: int | None,
    minutes: float | None,
    checkpoint_minutes: float,
    keep_every: int | None,
    eval_every: int | None,
    cache_dir: Path,
    tensorboard: bool,
    device: str,
    threads: int | None,
    debug: bool,
) -> None:
    """Train a conditional GAN that draws the digit it is asked for."""
    if resume is not None and start_from is not None:
        raise click.UsageError(
            "--resume goes on with what a run has learnt, --start-from begins another; give one"
        )
    common.prepare_for_torch()
    from cgan_training.recipe.schema import load_recipe, recipe_names

    if list_recipes:
        click.echo("\n".join(recipe_names()))
        return
    world = click.get_current_context().with_resource(ProcessGroup.from_environment().joined())
    config: dict[str, Any] = {}
    if resume is not None:
        from cgan_training.run import read_config

        run_dir, config = resume, world.from_rank_zero(lambda: read_config(resume))
        theirs = config.get("dataset", {})
        if default_of("dataset"):
            dataset = str(theirs.get("dataset", dataset))
        if default_of("data_dir"):
            data_dir = Path(theirs.get("data_dir") or data_dir)
        device = str(config.get("device", device)) if default_of("device") else device
        threads = threads or config.get("threads")
        recipe = recipe or str(resume / "config.json")
    chosen = world.from_rank_zero(lambda: load_recipe(recipe or "edge"))
    chosen = replace(
        chosen,
        epochs=chosen.epochs if epochs is None else epochs,
        precision=precision or chosen.precision,
        seed=chosen.seed if seed is None else seed,
    )

    import torch

    from cgan_training.data import load_dataset
    from cgan_training.engine.trainer import Trainer
    from cgan_training.hardware.devices import choose_device
    from cgan_training.hardware.precision import resolve_precision
    from cgan_training.run import RunOptions, train

    if threads is not None:
        torch.set_num_threads(threads)
    data, settled = world.rank_zero_first(lambda: load_dataset(dataset, data_dir))
    if settled is not None:
        click.secho(
            f"NOT MNIST: {settled}. Training on {data.source} instead: {len(data.labels):,} "
            "images, 8 x 8 pixels enlarged. The digits will be coarser.",
            fg="yellow",
            bold=True,
            err=True,
        )
    where = world.together(lambda: choose_device(device, world))
    chosen = resolve_precision(chosen, where)
    on = where if world.size == 1 else f"{where.type} in {world.size} processes"
    say(
        f"recipe {chosen.name}: {chosen.epochs} epochs of {len(data.labels):,} images "
        f"({data.source}) on {on}, into {run_dir}"
    )
    if dry_run:
        click.echo(plan(Trainer(chosen, data, where, world), start_from))
        return
    eval_every = config.get("eval_every", 0) if eval_every is None else eval_every
    meter = None
    if eval_every:
        from cgan_training.evaluation import EpochEvaluator

        say("measuring quality: the judge is trained at first use, in minutes")
        name = dataset if is_dataset_folder(dataset) else data.name
        meter = world.together(
            lambda: None if world.rank else EpochEvaluator(data, name, data_dir, cache_dir)
        )
    model = train(
        chosen,
        data,
        run_dir,
        device=where,
        options=RunOptions(
            seconds_limit=None if minutes is None else minutes * 60,
            keep_every=config.get("keep_every", 0) if keep_every is None else keep_every,
            checkpoint_seconds=checkpoint_minutes * 60,
            resume=resume is not None,
            start_from=start_from,
            meter=meter,
            eval_every=eval_every,
            tensorboard=tensorboard or bool(config.get("tensorboard")),
            found_by=(
                str(Path(dataset).resolve()) if is_dataset_folder(dataset) else data.name,
                str(data_dir.resolve()),
            ),
        ),
        world=world,
        say=say,
    )
    click.echo(model, color=True)  # else a path with an escape in it loses that


def say(line: str) -> None:
    """Tell the user something, in one line."""
    click.echo(conventions.printable(line), err=True)


def default_of(option: str) -> bool:
    """Return whether the user left the option out."""
    source = click.get_current_context().get_parameter_source(option)
    return source is ParameterSource.DEFAULT


def plan(trainer: "Trainer", start_from: Path | None) -> str:
    """Say what a run would be, and how long it would take by its first steps."""
    from cgan_training.networks import parameter_count
    from cgan_training.run.training import start

    if start_from is not None:
        start(trainer, start_from, say)
    trainer.train_epoch(lambda done, _sums: done < TRIAL_STEPS // 2)  # warms up
    seconds, steps = trainer.seconds, trainer.step
    trainer.train_epoch(lambda done, _sums: done < steps + TRIAL_STEPS)
    per_step = (trainer.seconds - seconds) / (trainer.step - steps)
    total = trainer.recipe.epochs * trainer.steps_per_epoch
    recipe = [f"  {key:<21}{value}" for key, value in trainer.recipe.to_dict().items()]
    return "\n".join(
        [
            *recipe,
            f"  {'generator':<21}{parameter_count(trainer.generator):,} parameters",
            f"  {'discriminator':<21}{parameter_count(trainer.discriminator):,} parameters",
            f"  {'steps':<21}{total:,} ({trainer.steps_per_epoch:,} an epoch)",
            f"  {'estimated time':<21}{total * per_step / 60:,.0f} minutes",
        ]
    )


def main() -> None:
    """Run cgan-train and leave with its exit code. Of several processes rank 0 alone speaks."""
    world = ProcessGroup.from_environment()
    if world.size == 1:
        conventions.run(command)
    try:
        with ExitStack() as quiet:
            if world.rank != 0:
                nowhere = quiet.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                quiet.enter_context(redirect_stdout(nowhere))
                quiet.enter_context(redirect_stderr(nowhere))
            conventions.run(command)
    except SystemExit as leaving:
        if leaving.code and world.rank != 0:  # torchrun now ends rank 0 too, which raises the same
            time.sleep(LAST_WORD_SECONDS)
        leave(int(leaving.code or 0))
