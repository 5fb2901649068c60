"""The command cgan-bulk."""

from pathlib import Path
from typing import Any

import click

from cgan_runtime import __version__
from cgan_runtime.cli import conventions, run
from cgan_runtime.model_file.contract import LABEL

# Options of cgan-run that mean the same here.
WHAT, HOW = ("digit", "digits", LABEL, "seed", "start"), ("model", "provider", "debug")
# A hundred batches: every image is drawn beside the same others as in one process. That is 80 MB
# of MNIST's size, or 23 MB as Parquet.
SHARD_IMAGES = 102_400

# Not the docstring: python -OO drops those.
HELP = """\
Draw images by the million, in shards, with many processes or machines.

The images are those that one process would draw, whatever the number of workers: image i of a
seed is always the same. Run it again after an interruption: shards that are whole are kept.
"""
EXAMPLES = """\b
Examples:
  cgan-bulk --count 1000000 --output million
  cgan-bulk --count 60000 --seed 1 --format idx --output synthetic
  cgan-bulk --count 500000 --digit 3 --digit 8 --workers 2 --output pairs
  cgan-bulk --count 100000000 --seed 1 --engine ray --output /shared/digits
"""


@click.command("cgan-bulk", help=HELP, epilog=EXAMPLES)
@click.option(
    "--count",
    type=click.IntRange(1, 2**63 - 1),
    required=True,
    help="How many images in all; the digits or labels take turns.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder to fill. Where it holds a part of the same job, the rest is drawn.",
)
@click.option(
    "--format",
    type=click.Choice(["parquet", "idx"]),
    default="parquet",
    show_default=True,
    help="Of the shards. parquet: image, label, seed and index; needs cgan-runtime[parquet]. idx: "
    "MNIST's own format, a file of images and one of labels.",
)
@click.option(
    "--shard-images",
    type=click.IntRange(1, 2**32 - 1),
    default=SHARD_IMAGES,
    show_default=True,
    help="Images a shard.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="local: processes of this machine. ray: a Ray cluster, that of RAY_ADDRESS or of this "
    "machine; needs cgan-runtime[ray], and --output on a disk that all its machines share.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 100_000),
    help="Processes that draw, of one thread each.  [default: one for each CPU]",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(
    digit: tuple[int, ...], digits: tuple[int, ...] | None, label: tuple[str, ...], **rest: Any
) -> None:
    """Draw images by the million, in shards, with many processes or machines."""
    given = {"--digit": digit, "--digits": digits is not None, "--label": label}
    if len(both := [option for option, value in given.items() if value]) > 1:
        raise click.UsageError(f"{' and '.join(both)} exclude each other; give one of them")

    conventions.require_memory()
    from cgan_runtime.bulk.run import BulkRequest, run

    names = label or tuple(map(str, digit or digits or ()))
    run(BulkRequest(names=names, by_digit=not label, **rest))


_shared = {option.name: option for option in run.command.params}
command.params[1:1] = [_shared[name] for name in WHAT]
command.params[-1:-1] = [_shared[name] for name in HOW]


def main() -> None:
    """Run cgan-bulk and leave with its exit code."""
    conventions.run(command)
