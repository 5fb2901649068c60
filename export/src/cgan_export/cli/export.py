"""The command cgan-export."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cgan_export.cli import options
from cgan_export.cli.c_source import check_c_option, export_onnx_to_c, require_name
from cgan_export.cli.outputs import CARD_SUFFIXES, check_output, output_paths
from cgan_export.cli.pictures import draw
from cgan_runtime.cli import runner
from cgan_runtime.files import atomic_write
from cgan_runtime.model_file.contract import MAX_OPSET, OPSET
from cgan_training.cli.common import log_to_stderr, prepare_for_torch
from cgan_training.model_path import find_model

if TYPE_CHECKING:
    from cgan_export.evaluation.datasets import EvaluationData
    from cgan_runtime import ImageGenerator
    from cgan_runtime.diagnostics.speed import Speed
    from cgan_training.data import Dataset
    from cgan_training.model_file import Model

MAX_LOSS_POINTS = 50.0  # of --max-accuracy-loss, in percentage points

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


def check_loss(_ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Return a number in the option's range. Unlike click.FloatRange this rejects NaN."""
    if not 0 <= value <= MAX_LOSS_POINTS:
        raise click.UsageError(
            f"{param.opts[0]} must be a number from 0 to {MAX_LOSS_POINTS:g}, got {value}"
        )
    return value


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
    help="For fp16 and int8: fail if the label accuracy of the file is proven to be below that of "
    "the trained network by more than --max-accuracy-loss. On by default. Compares up to "
    "100,000 pairs of images, with an error level of 1%. Needs the dataset and the evaluation "
    "classifier.",
)
@click.option(
    "--max-accuracy-loss",
    type=float,
    callback=check_loss,
    default=0.1,
    show_default=True,
    metavar="POINTS",
    help="Largest loss of label accuracy that the quality gate accepts, in percentage points, 0 to "
    "50.",
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
@options.threads(default="one per core")
@options.debug
@options.version
def command(
    model: Path,
    output: Path | None,
    precisions: tuple[str, ...],
    opset: int,
    quality_gate: bool,
    max_accuracy_loss: float,
    evaluate: bool,
    dataset: str | None,
    data_dir: Path | None,
    cache_dir: Path,
    card: bool,
    triton: Path | None,
    c_folder: Path | None,
    as_json: bool,
    threads: int | None,
    debug: bool,
) -> None:
    """Export MODEL, a model.pt or its run directory, to the ONNX file OUTPUT."""
    if model.suffix.lower() == ".onnx" and not model.is_dir():
        export_onnx_to_c(model, c_folder, as_json=as_json)
        return
    prepare_for_torch()
    log_to_stderr("cgan_training", "cgan_export")
    # Check the arguments before torch is imported, which takes seconds.
    find_model(model)
    outputs = output_paths(require_name(output), precisions)
    for path in outputs.values():
        check_output(path, model, card=card)
    check_c_option(c_folder, outputs, model)
    import torch

    from cgan_export.cli.report import report_table, report_values
    from cgan_export.evaluation.quality_gate import compare_accuracy, measure_quality
    from cgan_export.export import export_model, model_info
    from cgan_export.targets.c.source import write_c
    from cgan_export.targets.triton import check_repository, write_repository
    from cgan_runtime import ImageGenerator
    from cgan_runtime.diagnostics.speed import measure_speed
    from cgan_training.model_file import load_model

    torch.set_num_threads(threads or torch.get_num_threads())
    trained = load_model(model)
    if triton:
        for precision, path in outputs.items():
            check_repository(path, triton, model_info(trained, precision))
    gated = quality_gate and outputs.keys() != {"fp32"}
    gate = measure = None
    if gated or evaluate:
        data = load_data(trained, model, dataset, data_dir, gated=gated, evaluate=evaluate)
        gate = partial(
            compare_accuracy, data=data[0], cache_dir=cache_dir, max_loss=max_accuracy_loss / 100
        )
        measure = partial(measure_quality, data=data[1], cache_dir=cache_dir) if data[1] else None
    files = []
    for precision, path in outputs.items():
        report = export_model(
            model,
            path,
            precision=precision,
            opset=opset,
            gate=gate if quality_gate and precision != "fp32" else None,
            measure=measure,
            threads=threads,
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


def load_data(
    trained: "Model",
    path: Path,
    dataset: str | None,
    data_dir: Path | None,
    *,
    gated: bool,
    evaluate: bool,
) -> "tuple[Dataset, EvaluationData | None]":
    """Load the training images for the quality gate, and both parts of the dataset for --evaluate.

    Raises:
        VerificationError: the quality gate is on, and the dataset is not available or does not fit.
        cgan_runtime.CganError: the same for --evaluate.
    """
    from cgan_export.errors import EvaluationError, VerificationError
    from cgan_export.evaluation.datasets import load_evaluation_data, load_training_images
    from cgan_export.evaluation.image_sources import torch_source
    from cgan_training.errors import DatasetError

    source = torch_source(trained, str(path))
    try:
        train = load_training_images(source, dataset, data_dir)
    except (DatasetError, EvaluationError) as error:
        if not gated:
            raise
        raise VerificationError(
            f"the quality gate needs the dataset: {error}; or pass --no-quality-gate"
        ) from error
    return train, load_evaluation_data(source, dataset, data_dir, train) if evaluate else None


def write_card(generator: "ImageGenerator", speed: "Speed") -> None:
    """Write the model card of a file and its sample sheet beside it."""
    from cgan_export.evaluation.model_card import model_card, sample_sheet

    sheet, card = map(generator.model_path.with_suffix, CARD_SUFFIXES)
    picture = draw(sheet.name, partial(sample_sheet, generator))
    text = model_card(generator, speed, sheet.name if picture else None)
    for path, content in ((card, text.encode()), (sheet, picture)):
        if content is not None:
            with atomic_write(path) as file:
                file.write(content)


def main() -> None:
    """Run cgan-export and exit with its exit code."""
    runner.run(command)
