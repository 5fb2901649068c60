"""The command cgan-run."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from cgan_runtime.cli import class_options, noise_options, options, runner
from cgan_runtime.cli.options import STDOUT
from cgan_runtime.cli.terminal import is_terminal, show_preview
from cgan_runtime.errors import InputError
from cgan_runtime.files import to_file_name

FILE_FORMATS = ("png", "npy")  # formats with a single file; the output of the others is a folder
# Options that apply to some formats only.
OPTION_FORMATS = {
    "columns": ("png",),
    "scale": ("png", "pngs"),
    "split": ("idx", "idx-gz"),
    "walk": FILE_FORMATS,
}
# Up to this number of images, starting several threads takes longer than generating with one.
MAX_SINGLE_THREAD_IMAGES = 64
MAX_SLUG_LENGTH = 20  # largest number of characters of the class names in a default file name

# The help is a constant, because python -OO removes docstrings.
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
  cgan-run --same-noise --count 5 --seed 7
  cgan-run --digits 2026 --walk 7:8 --frames 48 --output walk.png
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


@click.command(
    "cgan-run",
    cls=class_options.OptionsOnlyCommand,
    help=HELP,
    epilog=EXAMPLES,
    context_settings=runner.CONTEXT_SETTINGS,
)
@class_options.digit
@class_options.digits
@class_options.label
@options.integer(
    "--count",
    1,
    options.MAX_INT64,
    "Number of images of each class. If there are several classes, a PNG has N rows.",
    default=1,
    show_default=True,
)
@options.seed(default="random")
@options.start(" (with --same-noise: of the first row)")
@noise_options.same_noise
@noise_options.walk
@noise_options.frames
@noise_options.noise
@noise_options.truncation
@click.option(
    "--shard",
    metavar="I/N",
    callback=_parse_shard,
    help="Split the images into N parts of nearly equal size and generate only part I.",
)
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    help="A .png or .npy file, a folder for the other formats, or - for stdout. An existing file "
    "is replaced. Images are added to an existing folder, and never replace its images.  [default: "
    "a name made of the classes and the seed, in the current folder]",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["png", "npy", "pngs", "idx", "idx-gz"]),
    help="png: one PNG that shows all images as a grid. npy: one uint8 array [n, channels, height, "
    "width]. pngs: a folder with a PNG per image. idx: a folder with a labeled dataset in MNIST's "
    "format, which torchvision.datasets.MNIST loads (gray only). idx-gz: this dataset compressed "
    "with gzip, which torchvision does not load.  [default: from the extension of --output, "
    "otherwise png]",
)
@options.integer(
    "--columns",
    1,
    2**31 - 1,
    "Images per row of a PNG.  [default: one per class, or a square for a single class]",
)
@options.integer(
    "--scale", 1, 64, "Enlarge each pixel of a PNG to N x N pixels; N is 1 to 64.  [default: 1]"
)
@click.option(
    "--split",
    type=click.Choice(["train", "t10k"]),
    help="Write an IDX dataset as MNIST's training or test split. A second run can add the other "
    "split; until then, torchvision loads only this one.  [default: train]",
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
@options.quiet()
@options.debug
@options.version
@click.pass_context
def command(
    context: click.Context,
    digit: tuple[int, ...],
    digits: tuple[int, ...] | None,
    label: tuple[str, ...],
    count: int,
    seed: int | None,
    start: int,
    same_noise: bool,
    walk: tuple[int, int] | None,
    frames: int | None,
    noise: Path | None,
    truncation: float | None,
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
    quiet: bool,
    debug: bool,
) -> None:
    """Run cgan-run with parsed options."""
    requested = class_options.select_classes(digit, digits, label)
    noise_options.check(options.given_options(context))
    file_format = _select_format(output, file_format)
    if output == STDOUT and is_terminal(sys.stdout):
        raise click.UsageError(
            f"a terminal cannot show {file_format.upper()} data; redirect stdout to a file, or "
            "set --output"
        )
    _check_formats(file_format, {"columns": columns, "scale": scale, "split": split, "walk": walk})

    runner.require_memory()
    from cgan_runtime.cli.image_output import ImageRequest, ImageWriter
    from cgan_runtime.cli.noise_source import NoiseRequest, read_noise
    from cgan_runtime.generator import ImageGenerator
    from cgan_runtime.inference.session import limit_log

    limit_log()
    noise_request = NoiseRequest(
        count=count,
        seed=options.random_seed() if seed is None else seed,
        start=start,
        same_noise=same_noise,
        walk=walk,
        frames=frames or noise_options.DEFAULT_FRAMES,
        file=read_noise(noise) if noise else None,
        truncation=truncation,
    )
    estimate = noise_request.estimate_images(len(requested))
    if threads is None and estimate <= MAX_SINGLE_THREAD_IMAGES:
        threads = 1
    with ImageGenerator(model, provider, threads, expect_sha256=expect_sha256) as generator:
        class_names = generator.info.class_names
        labels = class_options.find_labels(requested, class_names, from_label_option=bool(label))
        source = noise_request.source(generator.info, len(labels))
        names = [class_names[index] for index in labels]
        path = output or _default_output(names, source.name, file_format, shard)
        part = _shard_range(source.num_images, shard)
        images = ImageRequest(
            generator, labels, source, part, noise_request.frames if walk else None
        )
        writer = ImageWriter(path, file_format, columns, scale or 1, split or "train", quiet)
        first_images = writer.write(images)
    if path == STDOUT or quiet:
        return
    if preview and is_terminal(sys.stdout):
        show_preview(first_images, images.count)
    runner.echo_path(path, f"  {source.summary}")


def _check_formats(file_format: str, values: Mapping[str, object]) -> None:
    """Raise click.UsageError for an option that does not apply to the format."""
    for option, value in values.items():
        if value is not None and file_format not in OPTION_FORMATS[option]:
            raise click.UsageError(
                f"--{option} applies to format {' and '.join(OPTION_FORMATS[option])}, not to "
                f"{file_format}; leave it out"
            )


def _shard_range(total: int, shard: tuple[int, int]) -> range:
    """Return the positions of a shard's images."""
    number, shards = shard
    first, end = total * (number - 1) // shards, total * number // shards
    if first == end:
        raise InputError(f"shard {number}/{shards} of {total} images is empty; use fewer shards")
    return range(first, end)


def _default_output(
    names: list[str], noise_name: str, file_format: str, shard: tuple[int, int]
) -> str:
    """Return the default output path, such as digits-2026-seed-7.png."""
    if all(re.fullmatch("[0-9]", name) for name in names):
        prefix = "digit" if len(names) == 1 else "digits"
        slug = f"{prefix}-{''.join(names)[:MAX_SLUG_LENGTH]}"
    else:
        joined = to_file_name("-".join(names).casefold())
        slug = joined[:MAX_SLUG_LENGTH].strip("-")
    number, shards = shard
    part = f"-shard-{number}-of-{shards}" if shards > 1 else ""
    extension = f".{file_format}" if file_format in FILE_FORMATS else ""
    return f"{slug}-{noise_name}{part}{extension}"


def main() -> None:
    """Run cgan-run and exit with its exit code."""
    runner.run_quickly(command)
