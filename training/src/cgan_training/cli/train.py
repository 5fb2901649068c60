"""The command cgan-train."""

import os
import signal
import time
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import click

from cgan_runtime.cli import options, runner
from cgan_training import __version__
from cgan_training.cli import common, parsing
from cgan_training.cli.option_checks import check_combinations
from cgan_training.cli.start import AUTO, AUTO_RECIPES, Arguments, join_processes, start
from cgan_training.data import DATASETS, is_dataset_path
from cgan_training.data.conversion import MAX_SIDE, MIN_SIDE, parse_image_size
from cgan_training.errors import LaunchError
from cgan_training.hardware import DEVICES
from cgan_training.hardware.processes import Processes, exit_process
from cgan_training.recipe import MAX_EPOCHS, PRECISIONS, recipe_names
from cgan_training.user_code import is_user_code

# Not the docstring of the command: python -OO removes docstrings.
HELP = """\
Train a conditional GAN: a network that generates images of a given class.

The run directory receives config.json, metrics.jsonl, a sample sheet of every epoch in samples/,
an animation of the sheets (samples.webp), grid.png, curves.png, checkpoint.pt, and model.pt for
cgan-export.
"""
EXAMPLES = """\b
Examples:
  cgan-train                                   trains on MNIST, into runs/mnist
  cgan-train --recipe classic                  the classic conditional GAN, about an hour
  cgan-train --data-dir ~/data --epochs 100 --set batch_size=64
  cgan-train --resume runs/mnist
  cgan-train --dataset optdigits --minutes 5 --run-dir runs/quick
  cgan-train --dataset fashion-mnist
  cgan-train --dataset ./photos --image-size 32
  cgan-train --start-from runs/mnist --dataset ./mine --run-dir runs/mine
"""


def option(name: str, text: str, **settings: Any) -> options.Decorator:
    """Return an option with a help text."""
    return click.option(name, help=text, **settings)


directory_option = partial(option, type=click.Path(path_type=Path, file_okay=False))
run_dir_option = partial(option, type=parsing.RunDirectory(), metavar="RUN_DIR")


def check_minutes(_ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Return a positive number of minutes. Unlike click.FloatRange this rejects NaN."""
    if value is not None and not value > 0:
        raise click.UsageError(f"{param.opts[0]} must be a positive number, got {value}")
    return value


def check_image_size(
    _ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """Return the height and width."""
    if value is None:
        return None
    try:
        return parse_image_size(value)
    except ValueError as error:
        raise click.UsageError(
            f"{param.opts[0]} {value!r:.40} is invalid: {error}; write 32, or 32x48 for a height "
            "of 32 and a width of 48 pixels"
        ) from None


def check_dataset(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Return the value of --dataset if it names a dataset, a path or a function."""
    if value not in DATASETS and not is_dataset_path(value) and not is_user_code(value):
        raise click.UsageError(
            f"there is no dataset or folder {value!r}; give the path of a folder or a .npz file, "
            f"one of {', '.join(DATASETS)}, or my_module:load"
        )
    return value


@click.command(
    "cgan-train",
    cls=parsing.TrainCommand,
    help=HELP,
    epilog=EXAMPLES,
    context_settings={**runner.CONTEXT_SETTINGS, "show_default": True},
)
@option(
    "--recipe",
    "Name of a built-in recipe, a TOML file with the same keys, or the config.json of a run. auto "
    f"chooses {', '.join(AUTO_RECIPES[:-1])} or {AUTO_RECIPES[-1]} by the images.",
    default=AUTO,
)
@parsing.overrides
@directory_option(
    "--run-dir",
    "Directory to write the run to. It must not contain another run.  [default: runs/DATASET]",
)
@run_dir_option(
    "--resume",
    "Continue the run in this directory, with its recipe and images. Its device, threads, "
    "--keep-every, --eval-every and --tensorboard are kept unless given.",
)
@run_dir_option(
    "--start-from",
    "Initialize the networks from the run in this directory instead of randomly, to train them on "
    "other images of the same size and number of classes, or with a recipe that has the same "
    "networks and auxiliary losses. The default of --recipe is then the recipe of that run.",
)
@option("--list-recipes", "List the built-in recipes and exit.", is_flag=True)
@option(
    "--dry-run",
    "Print the recipe, a description of the images, the size and the estimated time of the run, "
    "and exit.",
    is_flag=True,
)
@option(
    "--dataset",
    "Images to train on: a folder with a subfolder of images per class, a folder of IDX files in "
    "MNIST's layout, a .npz file in MedMNIST's layout, or the name of a dataset: "
    f"{', '.join(DATASETS)} (docs/your-images.md). auto is MNIST if it is on disk or can be "
    "downloaded, otherwise the small dataset of scikit-learn. To load images with your own "
    "function, give my_module:load (docs/extend.md).",
    metavar="PATH|NAME|MODULE:FUNCTION",
    callback=check_dataset,
    default="auto",
)
@option(
    "--image-size",
    f"Crop the images at the center and resample them to this height and width, {MIN_SIDE} to "
    f"{MAX_SIDE} pixels.  [default: their size]",
    metavar="N|HxW",
    callback=check_image_size,
)
@option("--grayscale", "Convert the images to gray.", is_flag=True)
@directory_option(
    "--data-dir",
    "Root folder of torchvision's datasets, for example with MNIST in MNIST/raw. Missing datasets "
    "are downloaded.",
    default=Path("data"),
    envvar="CGAN_DATA_DIR",
    show_envvar=True,
)
@options.integer("--epochs", 1, MAX_EPOCHS, "Number of epochs.  [default: the recipe's]")
@option(
    "--precision",
    "Precision of matrix multiplications and convolutions. auto is the fastest precision of the "
    "device.  [default: the recipe's]",
    type=click.Choice(PRECISIONS),
)
@options.integer("--seed", 0, options.MAX_INT64, "Random seed.  [default: the recipe's]")
@option(
    "--minutes",
    "End the run after this many minutes of training; minutes before --resume do not count. The "
    "schedules end at this time too, and model.pt is complete.",
    type=float,
    callback=check_minutes,
)
@option(
    "--checkpoint-minutes",
    "Maximum time between two checkpoints. One is also written after each epoch.",
    type=float,
    callback=check_minutes,
    default=5.0,
)
@options.integer(
    "--keep-every",
    0,
    MAX_EPOCHS,
    "Also keep the generator of every N-th epoch in RUN_DIR/models; 0 keeps none.",
    default=0,
)
@options.integer(
    "--eval-every",
    0,
    MAX_EPOCHS,
    "Measure the quality of every N-th epoch and of the last one; 0 measures none. The evaluation "
    "classifier that this needs is trained on first use (some minutes) and kept in --cache-dir.",
    default=0,
)
@directory_option(
    "--cache-dir",
    "Folder of the evaluation classifiers.  [default: ~/.cache/cgan]",
    default=common.default_cache_dir,
    show_default=False,
)
@option(
    "--tensorboard",
    "Also write TensorBoard event files to RUN_DIR/tensorboard (needs the extra tensorboard).",
    is_flag=True,
)
@option(
    "--device",
    "Device to train on. auto is the first available one of cuda, mps (Apple) and cpu.",
    type=click.Choice(["auto", *DEVICES]),
    default="auto",
)
@options.threads(default="one per core")
@options.quiet("the plan of --dry-run")
@options.debug
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(list_recipes: bool, debug: bool, **values: Any) -> None:
    """Train a conditional GAN."""
    if list_recipes:
        click.echo("\n".join(recipe_names()))
        return
    check_combinations(values)
    arguments = Arguments(**values)
    common.prepare_for_torch()
    common.log_to_stderr("cgan_training", quiet=arguments.quiet)
    with join_processes() as processes:
        start(arguments, processes)


def main() -> None:
    """Run cgan-train and exit with its exit code.

    After the processes of a distributed run are connected, only rank 0 prints.
    """
    try:
        processes = Processes.from_environment()
    except LaunchError:  # command() reports it, but --help and --version work
        processes = Processes()
    if processes.size == 1:
        runner.run(command)  # does not return
    try:
        with ExitStack() as stack:
            if processes.rank != 0:
                devnull = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                stack.enter_context(redirect_stdout(devnull))
                stack.enter_context(redirect_stderr(devnull))
            runner.run(command)
    except SystemExit as exiting:
        if exiting.code and processes.rank != 0:
            # torchrun ends rank 0 when this process exits, so let rank 0 report the error first.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1)
        exit_process(int(exiting.code or 0))
