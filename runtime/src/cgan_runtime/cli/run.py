"""The command cgan-run."""

import math
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_runtime import __version__
from cgan_runtime.cli import options, runner
from cgan_runtime.cli.terminal import is_terminal, keep_first, show_preview, with_progress
from cgan_runtime.errors import InputError
from cgan_runtime.files import atomic_write, to_file_name, write_all

if TYPE_CHECKING:
    from cgan_runtime.generator import Batch
    from cgan_runtime.model_file.contract import ModelInfo

STDOUT = "-"
FILE_FORMATS = ("png", "npy")  # the others are folders
# Options that apply to some formats only.
OPTION_FORMATS = {"columns": ("png",), "scale": ("png", "pngs"), "split": ("idx", "idx-gz")}
TYPICAL_CLASSES = 10  # number of classes that is assumed before the model is open
MAX_SINGLE_THREAD_IMAGES = 64  # one thread generates these before several threads have started
BATCH_SIZE = 1024
EMPTY_SPLIT = (
    "note: the {0} part has no images, and torchvision's MNIST cannot load it; add it with "
    "--split {0} and another --seed"
)
MAX_SLUG_LENGTH = 20  # characters of the class names in a default file name

# Python -OO removes docstrings, so the help is not one.
HELP = """\
Generate images of handwritten digits, or of the classes that another model was trained on.

Writes images of the requested classes, by default one image of every class, and prints the path
of the output and the seed. On a terminal, the command also shows the images.
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


def _parse_shard(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[int, int]:
    match = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", value or "1/1")
    number, shards = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= shards:
        raise click.UsageError(f"--shard must be I/N such as 2/4, with 1 <= I <= N, got {value!r}")
    return number, shards


def _select_format(output: str | None, file_format: str | None) -> str:
    """Return the requested format, or the format that the file extension of the output implies."""
    if output == STDOUT and file_format not in (None, *FILE_FORMATS):
        raise click.UsageError(
            f"format {file_format} cannot be written to stdout; set --output to a folder"
        )
    if file_format or output is None or output == STDOUT:
        return file_format or "png"
    extension = Path(output).suffix.lower().removeprefix(".")
    if extension not in FILE_FORMATS:
        raise click.UsageError(
            f"--output must end in .png or .npy, got {output!r}; for other formats, give --format"
        )
    return extension


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
    callback=_parse_shard,
    help="Split the images into N parts of nearly equal size and generate only part I.",
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
    type=click.Choice(["png", "npy", "pngs", "idx", "idx-gz"]),
    help="png: one picture of all images. npy: one uint8 array [n, channels, height, width]. pngs: "
    "a folder with a PNG per image. idx: a folder with a labeled dataset in MNIST's format, which "
    "torchvision.datasets.MNIST loads (gray only). idx-gz: the same, compressed.  [default: the "
    "file extension of --output; png for stdout or without --output]",
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
    help="Write an IDX dataset as MNIST's training or test split. A second run adds the other "
    "split; until then, torchvision cannot load that one.  [default: train]",
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
    count: int,
    seed: int | None,
    start: int,
    shard: tuple[int, int],
    output: str | None,
    file_format: str | None,
    columns: int | None,
    scale: int | None,
    split: str | None,
    preview: bool,
    model: Path | None,
    expect_sha256: str | None,
    provider: str,
    threads: int | None,
    debug: bool,
) -> None:
    """Generate images of handwritten digits, or of another model's classes."""
    requested = options.select_classes(digit, digits, label)
    file_format = _select_format(output, file_format)
    if output == STDOUT and is_terminal(sys.stdout):
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

    runner.require_memory()
    from cgan_runtime.generator import ImageGenerator
    from cgan_runtime.images import writers
    from cgan_runtime.inference.session import limit_log
    from cgan_runtime.labels import find_labels

    limit_log()
    if threads is None and (len(requested) or TYPICAL_CLASSES) * count <= MAX_SINGLE_THREAD_IMAGES:
        threads = 1
    seed = int.from_bytes(os.urandom(4), "little") if seed is None else seed
    with ImageGenerator(model, provider, threads, expect_sha256=expect_sha256) as generator:
        info = generator.info
        labels = find_labels(requested, info.class_names, by_digit=not label)
        names = [info.class_names[each] for each in labels]
        path = output or _default_output(names, seed, file_format, shard)
        offset, count = _shard_range(len(labels) * count, shard)
        columns = columns or (len(labels) if len(labels) > 1 else math.ceil(count**0.5))
        first_class, start = offset % len(labels), start + offset
        labels = labels[first_class:] + labels[:first_class]
        # The batches of a PNG are whole rows.
        size = BATCH_SIZE if file_format != "png" else max(1, BATCH_SIZE // columns) * columns
        stream = generator.stream(labels, seed=seed, start=start, count=count, batch_size=size)
        shown: list[Any] = []
        batches = keep_first(with_progress(stream, count), shown)
        text = {"Software": f"cgan-runtime {__version__}", "cgan:model": generator.model_sha256}
        text["cgan:seed"] = str(seed)
        if file_format == "png":
            text["cgan:label"] = ",".join(info.class_names[each] for each in labels)
            text["cgan:index"] = str(start)
            _write_file(path, writers.png_chunks(batches, info, count, columns, scale or 1, text))
        elif file_format == "npy":
            _write_file(path, writers.npy_chunks(batches, info, count))
        elif file_format == "pngs":
            writers.write_pngs(Path(path), batches, info, scale or 1, text)
        else:
            _write_dataset(path, file_format, batches, info, count, split or "train")
    if path == STDOUT:
        return
    if preview and is_terminal(sys.stdout):
        show_preview(shown, count)
    runner.echo_path(path, f"  seed {seed}")


def _shard_range(total: int, shard: tuple[int, int]) -> tuple[int, int]:
    """Return the offset of a shard's first image, and its number of images."""
    number, shards = shard
    first, end = total * (number - 1) // shards, total * number // shards
    if first == end:
        raise InputError(f"shard {number}/{shards} of {total} images is empty; use fewer shards")
    return first, end - first


def _default_output(names: list[str], seed: int, file_format: str, shard: tuple[int, int]) -> str:
    """Return the default output path for these classes, such as digits-2026-seed-7.png."""
    if all(re.fullmatch("[0-9]", name) for name in names):
        prefix = "digit" if len(names) == 1 else "digits"
        slug = f"{prefix}-{''.join(names)[:MAX_SLUG_LENGTH]}"
    else:
        joined = to_file_name("-".join(names).casefold())
        slug = joined[:MAX_SLUG_LENGTH].strip("-")
    number, shards = shard
    part = f"-shard-{number}-of-{shards}" if shards > 1 else ""
    extension = f".{file_format}" if file_format in FILE_FORMATS else ""
    return f"{slug}-seed-{seed}{part}{extension}"


def _write_file(path: str, chunks: Iterable[bytes]) -> None:
    if path == STDOUT:
        for chunk in chunks:
            write_all(chunk, sys.stdout.buffer)
        return
    with atomic_write(Path(path)) as file:
        file.writelines(chunks)


def _write_dataset(
    path: str,
    file_format: str,
    batches: "Iterable[Batch]",
    info: "ModelInfo",
    count: int,
    split: str,
) -> None:
    """Write an IDX dataset; on a terminal, say which part of it is still missing."""
    from cgan_runtime.images.writers import write_idx

    gz = file_format == "idx-gz"
    empty_split = write_idx(Path(path), batches, info, count, split, gz=gz)
    if empty_split and is_terminal(sys.stderr):
        click.echo(EMPTY_SPLIT.format(empty_split), err=True)


def main() -> None:
    """Run cgan-run and exit with its exit code."""
    runner.run_quickly(command)
