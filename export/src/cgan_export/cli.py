"""The command cgan-export."""

from collections.abc import Mapping
from pathlib import Path

import click

from cgan_export import __version__
from cgan_export.errors import ExportError
from cgan_runtime import commands
from cgan_runtime.errors import CganRuntimeError
from cgan_training.errors import TrainingError

EXAMPLES = """\b
Examples:
  cgan-export runs/digits/model.pt digits.onnx
  cgan-export runs/digits digits.onnx --judge
  cgan-export runs/digits digits.onnx && cgan-run --model digits.onnx --digit 9
"""


@click.command("cgan-export", epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8-weights"]),
    default="fp32",
    show_default=True,
    help="Of the weights in the file: fp16 halves it, int8-weights quarters it. It is computed in "
    "float32 all the same.",
)
@click.option(
    "--dataset", help="What MODEL learnt, for --judge, where its own word does not find it."
)
@click.option(
    "--judge",
    is_flag=True,
    help="Measure quality for the file's metadata, with a judge trained on the real data at first "
    "use (some minutes) and kept in --cache-dir.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    envvar="CGAN_DATA_DIR",
    show_envvar=True,
    help="torchvision's root, for --judge.",
)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: Path.home() / ".cache" / "cgan",
    show_default="~/.cache/cgan",
    help="Where the judge is kept.",
)
@click.option(
    "--card",
    is_flag=True,
    help="Also write a model card and a sheet beside OUTPUT: OUTPUT's name with .md and .png.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, message="%(prog)s %(version)s")
def command(
    model: Path,
    output: Path,
    precision: str,
    dataset: str | None,
    judge: bool,
    data_dir: Path,
    cache_dir: Path,
    card: bool,
    debug: bool,
) -> None:
    """Export MODEL, a model.pt or its run directory, to the ONNX file OUTPUT.

    OUTPUT is written only after it was checked and drew the same digits, to one grey level, as
    the trained network does.
    """
    from functools import partial

    from cgan_export import quality
    from cgan_export.export import export_model

    measure = None
    if judge:
        measure = partial(quality.measure, data_dir=data_dir, cache_dir=cache_dir, dataset=dataset)
    report = export_model(model, output, precision=precision, measure=measure)
    if card:
        write_card(output)
    click.echo(
        f"{report.path}\n"
        f"  size        {report.size_bytes:,} bytes\n"
        f"  precision   {precision}\n"
        f"  parameters  {report.parameters:,}\n"
        f"  opset       {report.opset}\n"
        f"  difference  at most {report.largest_difference} of 255 grey levels from torch, "
        f"{report.mean_difference:.3f} in the mean, in {report.images_compared} images\n"
        f"  quality     {_in_words(report.quality)}\n"
        f"  seconds     {report.seconds:.1f}"
    )


def write_card(path: Path) -> None:
    """Write the model card of a file, and its picture, beside it."""
    from cgan_export.card import card_of, sheet_of
    from cgan_runtime.files import written_whole

    picture = path.with_suffix(".png")
    text = card_of(path, picture.name)
    for place, content in ((picture, sheet_of(path)), (path.with_suffix(".md"), text.encode())):
        with written_whole(place) as file:
            file.write(content)


def _in_words(quality: Mapping[str, float]) -> str:
    if "label_accuracy" not in quality:
        return "not measured; --judge does it"
    words = f"label accuracy {quality['label_accuracy']:.2%}"
    if "frechet" in quality:
        words += f", Fréchet distance {quality['frechet']:.3f}, recall {quality['recall']:.3f}"
    return words


def main() -> None:
    """Run cgan-export and leave with its exit code."""
    commands.run(command, (ExportError, TrainingError, CganRuntimeError))
