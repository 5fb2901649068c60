"""The command cgan-run."""

import math
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cgan_runtime import __version__, commands, options
from cgan_runtime.errors import CganRuntimeError, InputError
from cgan_runtime.files import write_all, written_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_SHOWN = 20  # digits on the terminal
USUAL_CLASSES = 10  # of a model that is not opened yet
LONGEST_SLUG = 20  # characters of a file's name that say what it shows
FEW = 64  # images that one thread draws sooner than several can start
STDOUT = "-"
FORMATS = (".png", ".npy")

EXAMPLES = """\b
Examples:
  cgan-run --digit 9
  cgan-run --digits 2026 --seed 7 --output year.png
  cgan-run --digit 3 --digit 8 --count 1000 --output pairs.npy
  cgan-run --digits 0123456789 --count 10 --output - > sheet.png
  cgan-run --model fashion.onnx --label "Ankle boot" --label Bag --count 5
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


def check_format(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse a name that says no format."""
    if value is not None and value != STDOUT and Path(value).suffix.lower() not in FORMATS:
        raise click.BadParameter(f"{value!r} names no known format; end it in .png or .npy")
    return value


@click.command("cgan-run", epilog=EXAMPLES)
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
    "--model",
    type=click.Path(path_type=Path),
    help="A file that cgan-export wrote.  [default: the one that ships]",
)
@options.expect_sha256
@click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to draw. auto: CUDA where the session really gets it.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    help="CPU threads.  [default: 1 for a few images, one for each core for more]",
)
@click.option(
    "--output",
    metavar="FILE",
    callback=check_format,
    help="A .png or .npy file, or - for a PNG on stdout.  [default: a .png named after digits "
    "and seed, here]",
)
@click.option(
    "--scale",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Enlarge the pixels of a PNG.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(
    digit: tuple[int, ...],
    digits: tuple[int, ...] | None,
    label: tuple[str, ...],
    count: int,
    seed: int | None,
    start: int,
    model: Path | None,
    expect_sha256: str | None,
    provider: str,
    threads: int | None,
    output: str | None,
    scale: int,
    debug: bool,
) -> None:
    """Draw handwritten digits, or whatever else the model learnt.

    Writes a picture of the digits or labels asked for, one of each class of the model where none
    is named, and prints its path and seed. On a terminal the images are shown too.
    """
    if digit and digits is not None:
        raise click.UsageError("--digit and --digits exclude each other; give one of them")
    if label and (digit or digits is not None):
        other = "--digit" if digit else "--digits"
        raise click.UsageError(f"--label and {other} exclude each other; give one of them")
    names = label or tuple(map(str, digit or digits or ()))
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    if output == STDOUT and on_terminal:
        raise click.UsageError("a terminal shows no PNG; send stdout to a file, or use --output")
    if seed is None:
        seed = int.from_bytes(os.urandom(4), "little")

    from cgan_runtime.generator import DigitGenerator
    from cgan_runtime.render import to_npy, to_png

    if threads is None and (len(names) or USUAL_CLASSES) * count <= FEW:
        threads = 1
    with DigitGenerator(model, provider, threads, expect_sha256=expect_sha256) as generator:
        wanted = _labels_of(names, generator.info.class_names, by_digit=not label)
        if len(wanted) * count > sys.maxsize // 8:
            raise MemoryError
        images = generator.generate(wanted * count, seed=seed, start=start)
        wanted_names = [generator.info.class_names[number] for number in wanted]
    columns = len(wanted) if len(wanted) > 1 else math.ceil(math.sqrt(count))
    path = Path(output or _default_name(wanted_names, seed))
    if output == STDOUT:
        write_all(to_png(images, columns, scale), sys.stdout.buffer)
        return
    as_npy = path.suffix.lower() == ".npy"
    with written_whole(path) as file:
        file.write(to_npy(images) if as_npy else to_png(images, columns, scale))
    if on_terminal:
        _show(images)
    click.echo(f"{path}  seed {seed}")


def _labels_of(
    names: tuple[str, ...], class_names: tuple[str, ...], *, by_digit: bool
) -> list[int]:
    """Return the labels of these names, or of every class where there are none.

    Raises:
        InputError: the model lacks one; digits of a model that draws other things included.
    """
    from cgan_runtime.labels import label_of

    if not names:
        return list(range(len(class_names)))
    try:
        return [label_of(name, class_names) for name in names]
    except InputError as error:
        raise InputError(f"{error}, with --label" if by_digit else str(error)) from error


def _default_name(names: list[str], seed: int) -> str:
    """Return the name of a PNG of these classes, such as digits-2026-seed-7.png."""
    if all(re.fullmatch("[0-9]", name) for name in names):
        kind = "digit" if len(names) == 1 else "digits"
        return f"{kind}-{''.join(names)[:LONGEST_SLUG]}-seed-{seed}.png"
    slug = re.sub(r"\W+", "-", "-".join(names).casefold()).strip("-")[:LONGEST_SLUG].strip("-")
    return f"{slug or 'class'}-seed-{seed}.png"


def _show(images: "NDArray[np.uint8]") -> None:
    """Draw the first images on the terminal, as many a row as it is wide."""
    from cgan_runtime.render import to_blocks

    width, shown = images.shape[3], images[:MOST_SHOWN]
    columns = max(1, min(len(shown), shutil.get_terminal_size().columns // width))
    try:
        "█▀▄".encode(sys.stdout.encoding)
        ascii_only = False
    except UnicodeEncodeError:
        ascii_only = True
    for first in range(0, len(shown), columns):
        row = shown[first : first + columns]
        click.echo(to_blocks(row, columns, ascii_only=ascii_only) + "\n")
    if len(images) > len(shown):
        click.echo(f"(the first {len(shown)} of {len(images)})")


def main() -> None:
    """Run cgan-run and leave with its exit code."""
    commands.run(command, CganRuntimeError)
