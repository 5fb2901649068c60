"""Options that cgan-export and cgan-eval share with each other or with the runtime's commands."""

from pathlib import Path

import click

from cgan_export import __version__
from cgan_runtime.cli.options import (
    MAX_INT64,
    Decorator,
    debug,
    given_options,
    integer,
    quiet,
    threads,
)
from cgan_training.cli.common import default_cache_dir

__all__ = [
    "MAX_INT64",
    "cache_dir",
    "data_dir",
    "dataset",
    "debug",
    "generator",
    "given_options",
    "integer",
    "quiet",
    "threads",
    "version",
]


def dataset(text: str) -> Decorator:
    """Return the option --dataset with this help text, to which the default is appended."""
    default = "the dataset that the model was trained on"
    return click.option("--dataset", help=f"{text}  [default: {default}]")


data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    show_default="--data-dir of the training run if it exists, otherwise ./data",
    envvar="CGAN_DATA_DIR",
    show_envvar=True,
    help="Root folder of torchvision's datasets.",
)
cache_dir = click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_cache_dir,
    show_default="~/.cache/cgan",
    help="Folder in which the trained evaluation classifier is kept.",
)
generator = click.option(
    "--generator",
    metavar="MODULE:NAME",
    help="For a model.pt that was trained with your own generator: its class, for example "
    "my_module:MyGenerator. The Python module is imported.",
)
version = click.version_option(__version__, message="%(prog)s %(version)s")
