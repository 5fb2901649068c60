"""The command cgan-run."""

import re
import sys
from pathlib import Path
from typing import Any

import click

from cgan_runtime import __version__
from cgan_runtime.cli import conventions, options

STDOUT = "-"
FORMATS = ("png", "npy", "pngs", "idx", "idx-gz")
PIPED = ("png", "npy")  # formats that stdout takes
PICTURES = ("png", "pngs")

# Not the docstring: python -OO drops those.
HELP = """\
Draw handwritten digits, or whatever else the model learnt.

Writes a picture of the digits or labels asked for, one of each class of the model where none
is named, and prints its path and seed. On a terminal the images are shown too.
"""
EXAMPLES = """\b
Examples:
  cgan-run --digit 9
  cgan-run --digits 2026 --seed 7 --output year.png
  cgan-run --digit 3 --digit 8 --count 1000 --output pairs.npy
  cgan-run --digits 0123456789 --count 10 --output - > sheet.png
  cgan-run --model fashion.onnx --label "Ankle boot" --label Bag --count 5
  cgan-run --count 6000 --seed 1 --format idx --output synthetic
  cgan-run --count 100000 --seed 1 --shard 2/4 --output part-2.npy
"""


def parse_digits(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Turn a string such as 2026 into its digits."""
    if value is None:
        return None
    if not value or any(digit not in "0123456789" for digit in value):
        raise click.BadParameter(f"{value!r} is not a string of digits such as 2026")
    return tuple(map(int, value))


def parse_shard(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, int]:
    """Turn 2/4 into its numbers."""
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", value or "1/1")
    which, shards = map(int, found.groups()) if found else (0, 0)
    if not 1 <= which <= shards:
        raise click.BadParameter(f"{value!r} is not I/N such as 2/4, with I from 1 to N")
    return which, shards


def format_of(output: str | None, asked: str | None) -> str:
    """Return the format that was asked for, or that the output's name says."""
    if output == STDOUT and asked not in (None, *PIPED):
        raise click.UsageError(f"stdout takes {' or '.join(PIPED)}; give --output a folder's name")
    if asked is not None:
        return asked
    if output in (None, STDOUT):
        return "png"
    ending = Path(str(output)).suffix.lower().removeprefix(".")
    if ending not in PIPED:
        raise click.BadParameter(
            f"{output!r} names no known format; end it in .png or .npy, or give --format",
            param_hint="'--output'",
        )
    return ending


@click.command("cgan-run", help=HELP, epilog=EXAMPLES)
@click.option(
    "--digit",
    "digit",
    type=click.IntRange(0, 9),
    multiple=True,
    help="What to draw; repeat it for several.",
)
@click.option(
    "--digits",
    metavar="STRING",
    callback=parse_digits,
    help="What to draw, as a string such as 2026.",
)
@click.option(
    "--label",
    metavar="NAME",
    multiple=True,
    help="What to draw, as one of the model's class names; repeat it for several.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 2**63 - 1),
    default=1,
    show_default=True,
    help="How many of each; every one is a row of its own in a PNG of several digits.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    help="Of the noise; the same seed draws the same digits.  [default: a new one]",
)
@click.option(
    "--start",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Index of the first image of the seed, to go on where another call ended.",
)
@click.option(
    "--shard",
    metavar="I/N",
    callback=parse_shard,
    help="Draw the I-th of N equal parts alone; together they are what one run draws.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="A file that cgan-export wrote.  [default: the one that ships]",
)
@options.expect_sha256
@click.option(
    "--provider",
    metavar="[auto|cpu|cuda|...]",
    default="auto",
    show_default=True,
    help="Where to draw: cpu, cuda, or another that the installed onnxruntime offers. auto: CUDA "
    "where the session really gets it.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    help="CPU threads.  [default: 1 for a few images, one for each core for more]",
)
@click.option(
    "--output",
    metavar="PATH",
    help="A .png or .npy file; a folder for the other formats; or - for stdout.  [default: named "
    "after what is drawn and the seed, here]",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="png: all in one picture. npy: an array, uint8 [n, 1, height, width]. pngs: a folder with "
    "a picture each. idx: a folder with a data set in MNIST's format, labels too, which "
    "torchvision.datasets.MNIST reads; idx-gz: the same, compressed.  [default: by --output's "
    "ending, or png]",
)
@click.option(
    "--columns", type=click.IntRange(1, 2**31 - 1), help="Images a row of a PNG.  [default: chosen]"
)
@click.option(
    "--scale", type=click.IntRange(1, 64), help="Enlarge the pixels of a PNG.  [default: 1]"
)
@click.option(
    "--split",
    type=click.Choice(["train", "t10k"]),
    help="Which part of a data set in MNIST's format.  [default: train]",
)
@click.option(
    "--preview/--no-preview",
    default=True,
    show_default=True,
    help="Show the first images, where stdout is a terminal.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(
    digit: tuple[int, ...],
    digits: tuple[int, ...] | None,
    label: tuple[str, ...],
    output: str | None,
    kind: str | None,
    columns: int | None,
    scale: int | None,
    split: str | None,
    debug: bool,
    **rest: Any,
) -> None:
    """Draw handwritten digits, or whatever else the model learnt."""
    if digit and digits is not None:
        raise click.UsageError("--digit and --digits exclude each other; give one of them")
    if label and (digit or digits is not None):
        other = "--digit" if digit else "--digits"
        raise click.UsageError(f"--label and {other} exclude each other; give one of them")
    wanted = format_of(output, kind)
    if output == STDOUT and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError(
            f"a terminal shows no {wanted.upper()}; send stdout to a file, or use --output"
        )
    for option, value, formats in (
        ("--columns", columns, ("png",)),
        ("--scale", scale, PICTURES),
        ("--split", split, ("idx", "idx-gz")),
    ):
        if value is not None and wanted not in formats:
            raise click.UsageError(
                f"{option} goes with {' and '.join(formats)}, not with {wanted}; leave it out"
            )

    conventions.require_memory()
    from cgan_runtime.cli.generate import GenerateRequest, draw

    draw(
        GenerateRequest(
            names=label or tuple(map(str, digit or digits or ())),
            by_digit=not label,
            output=output,
            format=wanted,
            columns=columns,
            scale=scale or 1,
            split=split or "train",
            **rest,
        )
    )


def main() -> None:
    """Run cgan-run and leave with its exit code."""
    conventions.run_and_exit(command)
