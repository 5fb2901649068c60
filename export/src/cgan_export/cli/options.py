"""Options that cgan-export and cgan-eval share with each other or with the runtime's commands."""

from pathlib import Path

import click

from cgan_export import __version__
from cgan_runtime.cli.options import MAX_INT64, debug, given, integer, quiet, threads
from cgan_training.cli.common import default_cache_dir

__all__ = [
    "MAX_INT64",
    "cache_dir",
    "data_dir",
    "dataset",
    "debug",
    "generator",
    "given",
    "integer",
    "quiet",
    "threads",
    "version",
]

dataset = click.option(
    "--dataset",
    help="Dataset for the evaluation, as in cgan-train. Required for an .onnx file of a model that "
    "was trained on a folder.  [default: the dataset that the model was trained on]",
)
data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    show_default="that of the training run if it exists, otherwise data",
    envvar="CGAN_DATA_DIR",
    show_envvar=True,
    help="Root folder of torchvision's datasets.",
)
cache_dir = click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_cache_dir,
    show_default="~/.cache/cgan",
    help="Folder of the evaluation classifier.",
)
generator = click.option(
    "--generator",
    metavar="MODULE:NAME",
    help="Your own generator that a model.pt was trained with, for example my_module:MyGenerator. "
    "Its module is imported.",
)
version = click.version_option(__version__, message="%(prog)s %(version)s")
