"""The command cgan-export."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cgan_export.cli import options
from cgan_export.cli.c_source import check_c_option, export_onnx_to_c, require_name
from cgan_runtime.cli import runner
from cgan_runtime.errors import OutputError
from cgan_runtime.model_file.contract import MAX_OPSET, OPSET
from cgan_training.cli.common import prepare_for_torch
from cgan_training.model_path import find_model

if TYPE_CHECKING:
    from cgan_runtime import ImageGenerator
    from cgan_runtime.diagnostics.speed import Speed

CARD_SUFFIXES = (".png", ".md")  # the files that --card writes

# Not the docstring: python -OO removes docstrings.
HELP = """\
Export MODEL, a model.pt or its run directory, to the ONNX file OUTPUT.

If MODEL is an int8 .onnx file already, --c writes it as C, and there is no OUTPUT.

OUTPUT is written only after verification: its images must match those of the trained network.
A pixel may differ by at most 1 of 255. The pixels of an int8 file may differ more, but must match
those that PyTorch computes with the file's integer arithmetic.
"""
EXAMPLES = """\b
Examples:
  cgan-export runs/digits/model.pt digits.onnx
  cgan-export runs/digits digits.onnx --precision int8 --evaluate --card
  cgan-export runs/digits digits.onnx --triton repository
  cgan-export digits.onnx --c firmware
  cgan-export runs/digits digits.onnx && cgan-run --model digits.onnx --digit 9
"""


@click.command("cgan-export", help=HELP, epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "fp16", "int8"]),
    multiple=True,
    default=["fp32"],
    show_default=True,
    help="fp16 halves the size of the weights and computes in float32. int8 quarters their size "
    "and multiplies integers. Repeat the option for several files, named OUTPUT-PRECISION.",
)
@options.integer(
    "--opset",
    OPSET,
    MAX_OPSET,
    f"ONNX opset version, {OPSET} to {MAX_OPSET}.",
    default=OPSET,
    show_default=True,
)
@click.option(
    "--quality-gate/--no-quality-gate",
    default=True,
    help="For fp16 and int8: fail if the label accuracy of the file is more than 0.1 percentage "
    "points lower than that of the trained network. On by default. Needs the dataset and the "
    "evaluation classifier.",
)
@click.option(
    "--evaluate",
    is_flag=True,
    help="Measure the image quality with the evaluation classifier and store it in the file's "
    "metadata. The classifier is trained on the dataset at first use, which takes some minutes.",
)
@options.dataset
@options.data_dir
@options.cache_dir
@click.option(
    "--card",
    is_flag=True,
    help="Also write a model card and a sample sheet: OUTPUT with the suffixes .md and .png.",
)
@click.option(
    "--triton",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also add the file to DIR, a model repository of NVIDIA's Triton Inference Server, as the "
    "newest version of a model with OUTPUT's name.",
)
@click.option(
    "--c",
    "c_folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write the int8 file as self-contained C99 to DIR, for microcontrollers and other "
    "languages. It generates the same bytes as cgan-run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@options.debug
@options.version
def command(
    model: Path,
    output: Path | None,
    precisions: tuple[str, ...],
    opset: int,
    quality_gate: bool,
    evaluate: bool,
    dataset: str | None,
    data_dir: Path,
    cache_dir: Path,
    card: bool,
    triton: Path | None,
    c_folder: Path | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Export MODEL, a model.pt or its run directory, to the ONNX file OUTPUT."""
    if model.suffix.lower() == ".onnx" and not model.is_dir():
        export_onnx_to_c(model, c_folder, as_json=as_json)
        return
    prepare_for_torch()
    # Check the arguments before torch is imported, which takes seconds.
    find_model(model)
    output = require_name(output)
    requested = dict.fromkeys(precisions)  # without duplicates, in order
    outputs = {
        precision: output.with_name(f"{output.stem}-{precision}{output.suffix}")
        if len(requested) > 1
        else output
        for precision in requested
    }
    for path in outputs.values():
        check_path(path, model, card=card)
    check_c_option(c_folder, outputs, model)
    from functools import partial

    from cgan_export.cli.report import report_table, report_values
    from cgan_export.evaluation.quality_gate import compare_accuracy, measure_quality
    from cgan_export.export import export_model
    from cgan_export.targets.c.source import write_c
    from cgan_export.targets.triton import check_model_name, write_repository
    from cgan_runtime import ImageGenerator
    from cgan_runtime.diagnostics.speed import measure_speed

    if triton:
        for path in outputs.values():
            check_model_name(path)
    gate = partial(compare_accuracy, data_dir=data_dir, cache_dir=cache_dir, dataset=dataset)
    measure = partial(measure_quality, data_dir=data_dir, cache_dir=cache_dir, dataset=dataset)
    files = []
    for precision, path in outputs.items():
        report = export_model(
            model,
            path,
            precision=precision,
            opset=opset,
            gate=gate if quality_gate and precision != "fp32" else None,
            measure=measure if evaluate else None,
        )
        with ImageGenerator(path, provider="cpu", threads=1) as generator:
            speed = measure_speed(generator)
            values = report_values(report, speed)
            if card:
                write_card(generator, speed)
            if triton:
                values["triton"] = str(write_repository(path, triton, generator.info))
        if c_folder:
            values["c"] = str(write_c(path, c_folder)) if precision == "int8" else None
        files.append(values)
    click.echo(runner.json_text(files) if as_json else report_table(files))


def check_path(path: Path, model: Path, *, card: bool) -> None:
    """Check that the folder exists and that OUTPUT differs from the model and the card's files.

    Raises:
        OutputError: the folder does not exist.
        click.UsageError: OUTPUT is the model, or has the suffix of one of the card's files.
    """
    if not path.parent.is_dir():
        raise OutputError(
            f"cannot write {path}: {path.parent} is not a folder; choose another path"
        )
    if path.exists() and any(
        each.exists() and path.samefile(each) for each in (model, model / "model.pt")
    ):
        raise click.UsageError(f"OUTPUT {path} is the trained model; choose another name")
    if card and path.suffix.lower() in CARD_SUFFIXES:
        raise click.UsageError(
            f"--card would overwrite OUTPUT with its {path.suffix} file; choose a name that ends "
            "in .onnx"
        )


def write_card(generator: "ImageGenerator", speed: "Speed") -> None:
    """Write the model card of a file and its sample sheet beside it."""
    from cgan_export.evaluation.model_card import model_card, sample_sheet
    from cgan_runtime.files import atomic_write

    picture, card = map(generator.model_path.with_suffix, CARD_SUFFIXES)
    text = model_card(generator, speed, picture.name)
    for path, content in ((picture, sample_sheet(generator)), (card, text.encode())):
        with atomic_write(path) as file:
            file.write(content)


def main() -> None:
    """Run cgan-export and exit with its exit code."""
    runner.run(command)
