"""The command cgan-run."""

import re
import sys
from pathlib import Path
from typing import Any

import click

from cgan_runtime.cli import conventions, options

STDOUT = "-"
FORMATS = ("png", "npy", "pngs", "idx", "idx-gz")
STDOUT_FORMATS = ("png", "npy")
# Options that apply to some formats only.
OPTION_FORMATS = {"columns": ("png",), "scale": ("png", "pngs"), "split": ("idx", "idx-gz")}

# Python -OO removes docstrings, so the help is not one.
HELP = """\
Generate images of handwritten digits, or of the classes that another model was trained on.

Writes the requested classes, by default one image of every class, and prints the path of the
output and the seed. On a terminal, the command also shows the images.
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


def parse_shard(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, int]:
    """Convert a text such as 2/4 into its two numbers."""
    match = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", value or "1/1")
    number, shards = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= shards:
        raise click.UsageError(f"--shard must be I/N such as 2/4, with 1 <= I <= N, got {value!r}")
    return number, shards


def select_format(output: str | None, file_format: str | None) -> str:
    """Return the requested format, or the one that the ending of the output path stands for."""
    if output == STDOUT and file_format not in (None, *STDOUT_FORMATS):
        raise click.UsageError(
            f"format {file_format} cannot be written to stdout; set --output to a folder"
        )
    if file_format is not None:
        return file_format
    if output in (None, STDOUT):
        return "png"
    ending = Path(str(output)).suffix.lower().removeprefix(".")
    if ending not in STDOUT_FORMATS:
        raise click.UsageError(
            f"--output must end in .png or .npy, got {output!r}; for other formats, give --format"
        )
    return ending


@click.command("cgan-run", help=HELP, epilog=EXAMPLES)
@options.digit
@options.digits
@options.label
@options.integer(
    "--count",
    1,
    options.MAX_INT64,
    "Number of images of each class. If there are several classes, a PNG has N rows.",
    default=1,
    show_default=True,
)
@options.seed(default="random")
@options.start
@click.option(
    "--shard",
    metavar="I/N",
    callback=parse_shard,
    help="Split the images into N equal parts and generate only part I.",
)
@click.option(
    "--output",
    metavar="PATH",
    help="A .png or .npy file, a folder for the other formats, or - for stdout.  [default: a name "
    "made of the classes and the seed, in the current folder]",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(FORMATS),
    help="png: one picture of all images. npy: one uint8 array [n, 1, height, width]. pngs: a "
    "folder with a PNG per image. idx: a folder with a labeled dataset in MNIST's format, which "
    "torchvision.datasets.MNIST loads. idx-gz: the same, compressed.  [default: by the ending of "
    "--output, otherwise png]",
)
@options.integer(
    "--columns",
    1,
    2**31 - 1,
    "Images per row of a PNG.  [default: one per class, or a square for a single class]",
)
@options.integer(
    "--scale", 1, 64, "Enlarge each pixel of a PNG to N x N pixels, 1 to 64.  [default: 1]"
)
@click.option(
    "--split",
    type=click.Choice(["train", "t10k"]),
    help="Write an IDX dataset as MNIST's training or test split.  [default: train]",
)
@click.option(
    "--preview/--no-preview",
    default=True,
    show_default=True,
    help="Show the first images if stdout is a terminal.",
)
@options.model
@options.expect_sha256
@options.provider
@options.threads(default="1 for up to 64 images, otherwise one per CPU")
@options.debug
@options.version
def command(
    digit: tuple[int, ...],
    digits: tuple[int, ...] | None,
    label: tuple[str, ...],
    output: str | None,
    file_format: str | None,
    columns: int | None,
    scale: int | None,
    split: str | None,
    debug: bool,
    **others: Any,  # each is the field of GenerateRequest with the same name
) -> None:
    """Generate images of handwritten digits, or of another model's classes."""
    names = options.select_classes(digit, digits, label)
    file_format = select_format(output, file_format)
    if output == STDOUT and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError(
            f"a terminal cannot show {file_format.upper()} data; redirect stdout to a file, or "
            "set --output"
        )
    for option, value in (("columns", columns), ("scale", scale), ("split", split)):
        if value is not None and file_format not in OPTION_FORMATS[option]:
            raise click.UsageError(
                f"--{option} applies to format {' and '.join(OPTION_FORMATS[option])}, not to "
                f"{file_format}; leave it out"
            )

    conventions.require_memory()
    from cgan_runtime.cli.generate import GenerateRequest, generate_images

    generate_images(
        GenerateRequest(
            class_names=names,
            by_digit=not label,
            output=output,
            format=file_format,
            columns=columns,
            scale=scale or 1,
            split=split or "train",
            **others,
        )
    )


def main() -> None:
    """Run cgan-run and exit with its exit code."""
    conventions.run_and_exit(command)
